"""The configuration changes all the time, and part of it is wrong."""

import time

import yaml
from faults.daemon import Daemon, config, managed
from faults.finding import MB, Finding, Soak
from faults.rig import Rig, wait_until

RELOADS_PER_S = 1000 / 60
GROWTH_BYTES = 10 * MB
GROWTH_FDS = 5
INVALID = "weights add up to 90"


def reload(soak: Soak) -> Finding:
    """Save the file and have it read, 1,000 times a minute: two versions in turns, and each third time a wrong one."""
    daemon = Daemon(config(managed("blue")), soak.folder("reload"))
    daemon.endpoint["deployments"]["green"] = managed("green")
    daemon.save()
    daemon.start()
    versions = [_with_traffic(daemon, blue, green) for blue, green in ((90, 10), (10, 90), (90, 0))]
    count = 0
    with Rig(soak, daemon) as rig:
        rig.quiet()
        before = _reloads(daemon)
        with rig.fault() as until:
            due = time.monotonic()
            while due < until or count % 3:  # the last one is wrong
                daemon.save_text(f"# {count}\n{versions[count % 3]}")
                daemon.ask("POST", "/reload")
                count += 1
                due += 1 / RELOADS_PER_S
                time.sleep(max(0.0, due - time.monotonic()))
        is_refused = wait_until(lambda: INVALID in str(daemon.status()["config_problems"]))
        rig.quiet()
        weights = {each["name"]: each["weight"] for each in daemon.status()["endpoints"][0]["deployments"]}
        done = {outcome: number - before[outcome] for outcome, number in _reloads(daemon).items()}
        found = rig.finding("reload")
    found.no_request_failed()
    found.check("nearly every file was read", sum(done.values()) >= 0.9 * count, f"{done} of {count}")
    found.check("invalid files are refused, and said to be", is_refused and done["refused"] >= 0.3 * count)
    found.check("the last valid file is what runs", weights == {"blue": 10, "green": 90}, weights)
    found.check("memory is flat", found.rss_bytes[1] - found.rss_bytes[0] < GROWTH_BYTES)
    found.check("descriptors are flat", found.fds[1] - found.fds[0] < GROWTH_FDS)
    return found


def _reloads(daemon: Daemon) -> dict[str, int]:
    outcomes = ("applied", "unchanged", "refused")
    return {outcome: int(daemon.metric("teal_config_reloads_total", outcome=outcome)) for outcome in outcomes}


def _with_traffic(daemon: Daemon, blue: int, green: int) -> str:
    daemon.endpoint["traffic"] = {"blue": blue, "green": green}
    return yaml.safe_dump(daemon.config, sort_keys=False)


def rolling(soak: Soak) -> Finding:
    """Another version of the model, again and again, with two instances."""
    daemon = Daemon(config(managed("1", instance_count=2)), soak.folder("rolling")).start()
    version = 1
    with Rig(soak, daemon) as rig:
        rig.quiet()
        with rig.fault() as until:
            while time.monotonic() < until:
                version += 1
                before = set(daemon.ready_pids())
                _change_to(daemon, version)
                is_rolled = wait_until(lambda before=before: _is_rolled(daemon, before))
        rig.quiet()
        found = rig.finding("rolling")
        forms = len(rig.samples().forms())
    found.no_request_failed()
    found.check("every version came into force", is_rolled and forms == version, f"{version} versions, {forms} seen")
    return found


def rolling_fails(soak: Soak) -> Finding:
    """A new version whose init() raises, with two instances."""
    daemon = Daemon(config(managed("1", instance_count=2)), soak.folder("rolling-fails")).start()
    with Rig(soak, daemon) as rig:
        rig.quiet()
        with rig.fault() as until:
            daemon.endpoint["deployments"]["blue"]["environment_variables"] = {"VERSION": "2", "FAILS": "yes"}
            daemon.save()
            has_failed = wait_until(lambda: daemon.deployment()["provisioning_state"] == "Failed")
            reason = daemon.deployment()["reason"]
            time.sleep(max(0.0, until - time.monotonic()))
        ready = len(daemon.ready_pids())
        _change_to(daemon, 3)
        before = set(daemon.ready_pids())
        is_repaired = wait_until(lambda: _is_rolled(daemon, before))
        rig.quiet()
        found = rig.finding("rolling-fails")
        versions = sorted(rig.form(form).rpartition("version")[2] for form in rig.samples().forms())
    found.no_request_failed()
    found.check("it says why", has_failed and "this version is broken" in reason, reason)
    found.check("the old version serves, at full strength", ready == 2, f"{ready} instances")
    found.check("the failed one never did", len(versions) == 2, versions)
    found.check("the next good version takes over", is_repaired)
    return found


def _change_to(daemon: Daemon, version: int) -> None:
    daemon.endpoint["deployments"]["blue"]["environment_variables"] = {"VERSION": str(version)}
    daemon.save()


def _is_rolled(daemon: Daemon, before: set[int]) -> bool:
    """Whether two instances are ready, none of them of before, and nothing is left of those."""
    blue = daemon.deployment()
    pids = {each["pid"] for each in blue["instances"]}
    return blue["provisioning_state"] == "Succeeded" and len(daemon.ready_pids()) == 2 and not pids & before

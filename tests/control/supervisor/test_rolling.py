"""What is wanted changes: rolled new first, scaled, drained, stopped."""

import psutil

from tests.control.supervisor.bench import GOOD, KEY, Bench

BROKEN = "def init(): raise ValueError('bad model')\n"
DEAF = "import signal\ndef init(): signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"


async def test_repaired_script_replaces_the_broken_one(bench: Bench) -> None:
    """A crash loop ends as soon as the config names code that works."""
    bench.apply(bench.spec(bench.code(BROKEN)))
    await bench.until(lambda: bench.status.provisioning_state == "Failed")
    bench.apply(bench.spec(bench.code(GOOD, "repaired")))
    await bench.until(bench.has_settled)
    assert (bench.status.reason, bench.status.log_tail) == ("", ())


async def test_deployment_that_cannot_start_says_why_and_keeps_what_runs(bench: Bench) -> None:
    """A missing script fails the deployment; the workers of before go on."""
    await bench.serving()
    pid = bench.pid()
    bench.supervisor.apply({}, {KEY: "score.py is missing"})
    assert (bench.status.provisioning_state, bench.status.reason) == ("Failed", "score.py is missing")
    assert (bench.pid(), len(bench.ready)) == (pid, 1)


async def test_same_spec_again_changes_nothing(bench: Bench) -> None:
    """A reload of an unchanged deployment leaves its processes alone."""
    spec = await bench.serving(instance_count=2)
    pids = {bench.pid(0), bench.pid(1)}
    bench.apply(bench.spec(spec.script, instance_count=2))
    assert ({bench.pid(0), bench.pid(1)}, bench.states) == (pids, ["ready", "ready"])


async def test_roll_is_new_first(bench: Bench) -> None:
    """A change of code replaces every process, and never are fewer ready than wanted."""
    await bench.serving(instance_count=2)
    before = {bench.pid(0), bench.pid(1)}
    bench.ready_counts.clear()
    bench.apply(bench.spec(bench.code(GOOD, "next"), instance_count=2))
    assert bench.status.provisioning_state == "Updating"
    await bench.until(bench.has_settled)
    assert len(bench.instances) == 2
    assert not before & {bench.pid(0), bench.pid(1)}
    assert min(bench.ready_counts) == 2


async def test_failed_roll_keeps_the_old_ones(bench: Bench) -> None:
    """The old version serves on, the state is Failed with the reason, and going back restores Succeeded."""
    old = await bench.serving(instance_count=2)
    before = sorted(bench.ready)
    bench.apply(bench.spec(bench.code(BROKEN, "next"), instance_count=2))
    await bench.until(lambda: bench.status.provisioning_state == "Failed")
    assert sorted(bench.ready) == before
    assert bench.status.reason == "init() raised ValueError: bad model"
    assert "ValueError: bad model" in bench.status.log_tail
    bench.apply(old)
    await bench.until(bench.has_settled)
    assert sorted(bench.ready) == before


async def test_scaling_starts_and_drains_the_difference(bench: Bench) -> None:
    """A change of the count leaves the processes alone that are to stay."""
    spec = await bench.serving()
    pid = bench.pid()
    bench.apply(bench.spec(spec.script, instance_count=3))
    assert bench.status.provisioning_state == "Scaling"
    await bench.until(bench.has_settled)
    assert (len(bench.ready), bench.pid(0)) == (3, pid)
    bench.apply(spec)
    assert len(bench.ready) == 1
    await bench.until(lambda: len(bench.instances) == 1)
    assert (bench.pid(0), bench.status.worker_exits) == (pid, {"ok": 2})


async def test_drain_waits_until_nobody_needs_the_address(bench: Bench) -> None:
    """Out of the table first; SIGTERM only after every proxy has let go."""
    spec = await bench.serving(instance_count=2)
    bench.may_drain.clear()
    bench.apply(bench.spec(spec.script))
    await bench.until(lambda: len(bench.asked) == 1)
    assert (len(bench.ready), bench.states, bench.asked[0] in bench.ready) == (1, ["ready", "draining"], False)
    assert psutil.pid_exists(bench.pid(1))
    bench.may_drain.set()
    await bench.until(lambda: bench.states == ["ready"])


async def test_removed_deployment_is_shown_until_it_has_gone(bench: Bench) -> None:
    """Deleting, while it drains; then it is forgotten."""
    await bench.serving()
    bench.may_drain.clear()
    bench.supervisor.apply({}, {})
    assert (bench.status.provisioning_state, bench.ready) == ("Deleting", [])
    bench.may_drain.set()
    await bench.until(lambda: bench.supervisor.statuses() == ())


async def test_worker_that_ignores_sigterm_is_killed_at_the_deadline(bench: Bench) -> None:
    """Stopping takes no longer than it may, and leaves no process."""
    await bench.serving(DEAF, instance_count=2)
    pids = [bench.pid(0), bench.pid(1)]
    await bench.supervisor.stop(0.5)
    assert [psutil.pid_exists(pid) for pid in pids] == [False, False]


async def test_stop_lets_workers_finish_and_starts_no_more(bench: Bench) -> None:
    """Every process is gone, its sockets too, and a late apply is ignored."""
    spec = await bench.serving(instance_count=3)
    pids = [bench.pid(number) for number in range(3)]
    await bench.supervisor.stop(10.0)
    bench.apply(spec)
    assert [psutil.pid_exists(pid) for pid in pids] == [False, False, False]
    assert bench.supervisor.statuses() == ()
    assert bench.sockets() == []
    assert len(bench.asked) == 3

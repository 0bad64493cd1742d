"""The machine's clock is set back an hour while everything runs; libfaketime tells the daemon and its children so."""

import contextlib
import http.client
import json
import os
import signal
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

from faults.daemon import ENDPOINT, Daemon, config, managed
from faults.finding import Finding, Soak, skipped
from faults.rig import Rig, wait_until

LIBRARIES = tuple(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
BACK_S = 3600
TOKEN_LIFETIME_S = 3600
DEADLINE_MS = 500
NOTICED_S = 1  # until every process has seen a shift
COPIES_PER_S = 50
BODY_BYTES = 430
OK, DENIED, TIMED_OUT = 200, 401, 408
SLEEPS = """
import select

def init():
    pass

def run(data):
    select.select([], [], [], 2)  # libfaketime breaks time.sleep
"""


class Clock:
    """What time it is for the daemon: the machine's, and so many seconds. Monotonic clocks go on as they do."""

    def __init__(self, library: Path, path: Path) -> None:
        self._path = path
        self.env = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(path),
            "FAKETIME_CACHE_DURATION": str(NOTICED_S),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # to set a clock moves no other one
            "NO_FAKE_STAT": "1",  # files keep the times that they have
        }
        self.shift(0)

    def shift(self, seconds: int) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        fresh.replace(self._path)


def clock_back(soak: Soak) -> Finding:
    """Back an hour, and later to where it was: tokens, deadlines, the mirror's bucket, saves, a killed worker."""
    if not LIBRARIES:
        return skipped("clock-back", soak.lane, "it needs libfaketime (Debian: apt-get install libfaketime)")
    folder = soak.folder("clock-back")
    clock = Clock(LIBRARIES[0], folder / "clock")
    daemon = _daemon(folder, clock)
    with contextlib.ExitStack() as stack:
        stack.callback(daemon.stop)
        daemon.start()
        before = _token(daemon)
        rig = stack.enter_context(Rig(soak, daemon, key=before))
        sent = _sent(daemon)
        span = rig.quiet()
        quiet_per_s = (_sent(daemon) - sent) / span.seconds
        with rig.fault() as until:
            clock.shift(-BACK_S)
            is_back = wait_until(lambda: _seconds_ahead(daemon, before) < -BACK_S / 2)
            sent, began = _sent(daemon), time.monotonic()
            took_s, late = _ask(daemon, before, pin="sleeps")
            meanwhile = _token(daemon)
            tokens = [_ask(daemon, token)[1] for token in (before, meanwhile)]
            os.kill(daemon.ready_pids()[0], signal.SIGKILL)
            is_replaced = wait_until(lambda: len(daemon.ready_pids()) == 2)
            applies = _applies_old_file(daemon)
            time.sleep(max(0.0, until - time.monotonic()))
            per_s = (_sent(daemon) - sent) / (time.monotonic() - began)
        exits = daemon.metric("teal_worker_exits_total")
        clock.shift(0)
        is_right = wait_until(lambda: abs(_seconds_ahead(daemon, before)) < BACK_S / 2)
        time.sleep(2 * NOTICED_S)  # the other proxy is told
        again = [_ask(daemon, token)[1] for token in (before, meanwhile)]
        rig.quiet()
        found = rig.finding("clock-back")
    found.no_request_failed()
    found.check("it was set back, and right again", is_back and is_right)
    found.check("a deadline is met", late == TIMED_OUT and took_s < DEADLINE_MS / 1000 + 0.5, f"{late}, {took_s:.2f} s")
    found.check("tokens of before and of meanwhile are good", tokens == [OK, OK], tokens)
    found.check("once it is right, only that of before is: the other has run out", again == [OK, DENIED], again)
    found.check(
        "the mirror's bucket fills as before", 0.5 < per_s / quiet_per_s < 1.5, f"{quiet_per_s:.0f}, {per_s:.0f} per s"
    )
    found.check("a killed worker is replaced, and no other", is_replaced and exits == 1, f"{exits:.0f} exits")
    found.check("a file that is older than the one before is followed", applies)
    return found


def _daemon(folder: Path, clock: Clock) -> Daemon:
    blue = managed(instance_count=2)
    mirror = {"rate_bytes_per_s": COPIES_PER_S * BODY_BYTES, "burst_bytes": COPIES_PER_S * BODY_BYTES}
    document = config(blue, auth_mode="aml_token", idempotent=True, mirror=mirror, token_lifetime_s=TOKEN_LIFETIME_S)
    daemon = Daemon(document, folder, env=clock.env)
    (daemon.folder / "sleeps").mkdir()
    (daemon.folder / "sleeps" / "score.py").write_text(SLEEPS)
    daemon.endpoint["deployments"] |= {
        "shadow": managed(),
        "sleeps": {
            "code_configuration": {"code": "sleeps", "scoring_script": "score.py"},
            "request_settings": {"request_timeout_ms": DEADLINE_MS},
        },
    }
    daemon.endpoint["mirror_traffic"] = {"shadow": 50}
    daemon.save()
    return daemon


def _token(daemon: Daemon) -> str:
    return str(json.loads(daemon.ask("GET", f"/v1/endpoints/{ENDPOINT}/credentials")[1])["accessToken"])


def _sent(daemon: Daemon) -> float:
    return daemon.metric("teal_mirror_requests_total", outcome="sent")


def _ask(daemon: Daemon, token: str, pin: str = "") -> tuple[float, int]:
    """How long a request took by our clock, and its status."""
    with contextlib.closing(_connection(daemon)) as connection:
        began = time.monotonic()
        connection.request("POST", urlsplit(daemon.url).path, '{"number": 1}', _headers(token, pin))
        status = connection.getresponse().status
        return time.monotonic() - began, status


def _seconds_ahead(daemon: Daemon, token: str) -> float:
    """By how much the daemon's clock is ahead of ours, as an answer says."""
    with contextlib.closing(_connection(daemon)) as connection:
        connection.request("POST", urlsplit(daemon.url).path, '{"number": 1}', _headers(token, ""))
        date = connection.getresponse().headers["Date"]
    return parsedate_to_datetime(date).timestamp() - time.time()


def _connection(daemon: Daemon) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=10)


def _headers(token: str, pin: str) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return headers | ({"azureml-model-deployment": pin} if pin else {})


def _applies_old_file(daemon: Daemon) -> bool:
    """Save as if the clock of the file system was set back too."""
    before = daemon.metric("teal_config_reloads_total", outcome="applied")
    daemon.endpoint["tags"] = {"saved": "an hour ago"}
    daemon.save()
    os.utime(daemon.path, (time.time() - BACK_S, time.time() - BACK_S))
    return wait_until(lambda: daemon.metric("teal_config_reloads_total", outcome="applied") > before, seconds=15)

"""Played inside a throw-away systemd by test_systemd.py: installs the units and runs teal as a service.

Prints one line per thing that was seen to hold; ends at the first that does not.
"""

import contextlib
import http.client
import json
import os
import signal
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from harness import service
from harness.service import CONFIG, is_active, journal, main_pid, run, show

SCORE = """
import os, time

def init():
    pass

def run(raw_data):
    time.sleep(float(os.environ.get("SLEEP_S", "0")))
    return {"model": os.environ["MODEL"]}
"""
YAML = """
listen: 127.0.0.1:8080
endpoints:
  my-endpoint:
    traffic: {blue: 100, green: 0}
    deployments:
      blue:
        code_configuration: {code: model, scoring_script: score.py}
        environment_variables: {MODEL: blue}
      green:
        code_configuration: {code: model, scoring_script: score.py}
        environment_variables: {MODEL: green}
      slow:
        code_configuration: {code: model, scoring_script: score.py}
        environment_variables: {MODEL: slow, SLEEP_S: "2"}
"""


def main() -> None:
    install()
    seen("the units are valid", run("systemd-analyze", "verify", "/etc/systemd/system/teal.service"))
    run("systemctl", "start", "teal.socket")
    seen("systemd holds the socket", run("systemctl", "is-active", "teal.socket"))
    run("systemctl", "start", "teal.service")
    seen("the service says that it is ready", show("StatusText").startswith("generation"))
    seen("it runs as its own user", Path(f"/proc/{main_pid()}").stat().st_uid != 0)
    seen("a request is answered through the socket that systemd holds", score() == "blue")
    seen("the keys are for the daemon alone", (Path("/var/lib/teal/state.db").stat().st_mode & 0o777) == 0o600)
    check_confined()
    check_reload()
    check_journal()
    check_killed()
    check_killed_beside_a_stopped_proxy()
    check_watchdog()
    check_restart()
    check_stop()


def check_confined() -> None:
    """Workers run what others wrote: they may do no more than the service itself."""
    workers = [pid for pid in service.pids() if b"workers" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    seen("there are workers", workers)
    for pid in workers:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        status = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
        capabilities = {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
        seen("a worker has no capability, and can get none", capabilities == {0} and status["NoNewPrivs"] == "1")
        seen("a worker's system calls are filtered", status["Seccomp"] == "2")
        seen("a worker is not root", "0" not in status["Uid"].split())


def check_reload() -> None:
    pid = main_pid()
    CONFIG.write_text(YAML.replace("{blue: 100, green: 0}", "{blue: 0, green: 100}"))
    run("systemctl", "reload", "teal")
    seen("a reload applies the file", until(lambda: score() == "green"))
    seen("a reload keeps the process", main_pid() == pid)


def check_journal() -> None:
    lines = run("journalctl", "-u", "teal", "-o", "cat", "--no-pager").splitlines()
    events = [json.loads(line)["event"] for line in lines if line.startswith("{")]
    seen("the journal has JSON lines", {"daemon.serving", "config.applied"} <= set(events))
    seen("the journal has the access log", until(lambda: "request.done" in journal()))
    seen("the journal has no key", key() not in journal())


def check_killed() -> None:
    """The main process is killed: what is in flight is answered, others wait in the socket that systemd holds."""
    pid, children = main_pid(), service.pids()
    refused: list[str] = []
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(score(pin="slow")))
    asking.start()
    until(lambda: '"in_flight":1' in status())
    stop = threading.Event()
    knocking = threading.Thread(target=knock, args=(refused, stop))
    knocking.start()
    os.kill(pid, signal.SIGKILL)
    seen("a killed main process comes back", until(lambda: main_pid() not in {0, pid} and is_active()))
    seen("it scores again", until(lambda: score() == "green"))
    asking.join()
    seen("what was in flight when it was killed was answered", answers == ["slow"])
    stop.set()
    knocking.join()
    seen("no connection was refused meanwhile", not refused)
    seen("no process of before is left", not (children & service.pids()))


def check_killed_beside_a_stopped_proxy() -> None:
    """A process that cannot end does not keep the service from starting again: the watchdog has it killed."""
    pid, children = main_pid(), service.pids()
    proxy = next(child for child in children if b"router.proxy" in Path(f"/proc/{child}/cmdline").read_bytes())
    os.kill(proxy, signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    seen("it comes back all the same", until(lambda: main_pid() not in {0, pid} and is_active()))
    seen("nothing of before is left", not (children & service.pids()))
    seen("and scores", until(lambda: score() == "green"))


def check_watchdog() -> None:
    pid = main_pid()
    os.kill(pid, signal.SIGSTOP)
    seen("a main process that hangs is replaced by the watchdog", until(lambda: main_pid() not in {0, pid}, 30))
    seen("it scores after that", until(lambda: score() == "green"))


def check_restart() -> None:
    answers: list[str] = []
    run("systemctl", "stop", "teal.service")
    waiting = threading.Thread(target=lambda: answers.append(score(timeout_s=60)))
    waiting.start()  # starts the service by the socket
    waiting.join()
    seen("a request that comes while the service is down starts it and waits", answers == ["green"])


def check_stop() -> None:
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(score(pin="slow")))
    asking.start()
    until(lambda: '"in_flight":1' in status())
    run("systemctl", "stop", "teal.socket", "teal.service")
    asking.join()
    seen("a stop lets a request in flight finish", answers == ["slow"])
    seen("a stop is clean", show("Result") == "success" and show("ExecMainStatus") == "0")
    seen("a stop leaves no process", not service.pids())


def install() -> None:
    Path("/etc/teal/model").mkdir(parents=True)
    Path("/etc/teal/model/score.py").write_text(SCORE)
    CONFIG.write_text(YAML)
    service.install("WatchdogSec=6\nRestartSec=200ms\n")  # the slow model takes less than a half of six


def seen(what: str, is_so: object) -> None:
    if not is_so:
        sys.exit(f"NOT SO: {what}\n{run('journalctl', '-u', 'teal', '-n', '40', '-o', 'cat', '--no-pager')}")
    print(f"ok: {what}", flush=True)


def until(condition: Callable[[], object], limit_s: float = 30.0) -> bool:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if condition():
                return True
        time.sleep(0.05)
    return False


def key() -> str:
    with contextlib.closing(sqlite3.connect("/var/lib/teal/state.db")) as database:
        return str(database.execute("SELECT primary_key FROM credentials").fetchone()[0])


def score(pin: str = "", timeout_s: float = 30.0) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=timeout_s)
    headers = {"Authorization": f"Bearer {key()}", "Content-Type": "application/json"}
    if pin:
        headers["azureml-model-deployment"] = pin
    try:
        connection.request("POST", "/api/v1/endpoint/my-endpoint/score", "{}", headers)
        return str(json.loads(connection.getresponse().read())["model"])
    except ValueError:
        return ""
    finally:
        connection.close()


def status() -> str:
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect("/var/lib/teal/run/admin.sock")
        admin.sendall(b"GET /status HTTP/1.0\r\nHost: teal\r\n\r\n")
        return b"".join(iter(lambda: admin.recv(65536), b"")).decode()


def knock(refused: list[str], stop: threading.Event) -> None:
    """Connect again and again; systemd's socket takes every connection."""
    while not stop.wait(0.01):
        try:
            socket.create_connection(("127.0.0.1", 8080), timeout=5).close()
        except OSError as error:
            refused.append(repr(error))


if __name__ == "__main__":
    main()

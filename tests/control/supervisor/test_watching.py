"""A worker that starts, fails to start, crashes, hangs or grows: what the supervisor does about it."""

import asyncio
import os
import signal
from pathlib import Path

from structlog.testing import capture_logs

from router.control.environments import EnvironmentSpec
from router.control.states import DeploymentKey
from router.control.supervisor import Probe
from tests.control.supervisor.bench import GOOD, KEY, Bench

BROKEN = "def init(): raise ValueError('bad model')\n"
CRASHES = "import os, threading\ndef init(): threading.Timer(0.2, os._exit, [1]).start()\n"
GREEDY = """
import subprocess, sys

CHILD = "import ctypes, time; ctypes.CDLL(None).prctl(1, 9); eaten = bytearray(300_000_000); time.sleep(3600)"

def init():
    subprocess.Popen([sys.executable, "-c", CHILD])
"""
SPAWNS = """
import subprocess, sys

CHILD = '''
import ctypes, threading, time
ctypes.CDLL(None).prctl(1, 9)
for _ in range(200):
    threading.Thread(target=time.sleep, args=[3600], daemon=True).start()
time.sleep(3600)
'''

def init():
    subprocess.Popen([sys.executable, "-c", CHILD])
"""
HANGS = "import time\ndef init(): time.sleep(3600)\n"


async def test_worker_is_listed_once_it_says_ready(bench: Bench) -> None:
    """init() done: the instance is in the choice, under an address that answers."""
    await bench.serving()
    (address,) = bench.ready
    reader, writer = await asyncio.open_unix_connection(address.removeprefix("unix:"))
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    writer.close()
    await writer.wait_closed()


async def test_starting_worker_is_listed_but_not_in_the_choice(bench: Bench) -> None:
    """While init() runs, requests are refused at once."""
    bench.apply(bench.spec(bench.code(HANGS)))
    await bench.until(lambda: bench.supervisor.instances(KEY) != ())
    assert (bench.ready, bench.states, bench.status.provisioning_state) == ([], ["starting"], "Creating")


async def test_init_that_raises_fails_its_deployment_with_the_traceback(bench: Bench) -> None:
    """Failed, the reason in one line, the traceback in reach, another start announced; others are untouched."""
    good = bench.spec(bench.code(GOOD, "good"), deployment="green")
    bad = bench.spec(bench.code(BROKEN))
    green = DeploymentKey(("churn", "green"))
    bench.supervisor.apply({KEY: bad, green: good}, {})
    await bench.until(lambda: bench.status.provisioning_state == "Failed" and bench.supervisor.instances(green) != ())
    await bench.until(lambda: bench.supervisor.instances(green)[0].is_ready)
    status = bench.status
    assert status.reason == "init() raised ValueError: bad model"
    assert "ValueError: bad model" in status.log_tail
    assert "init_failed" in status.worker_exits


async def test_crash_loop_backs_off_and_shows(bench: Bench) -> None:
    """Each crash is counted, the wait grows, and the deployment is Failed while it is down again and again."""
    bench.apply(bench.spec(bench.code(CRASHES)))
    await bench.until(lambda: bench.status.provisioning_state == "Failed" and bench.states == ["backoff"])
    (instance,) = bench.instances
    assert instance.restarts >= 2
    assert instance.retry_in_s is not None
    assert instance.reason == "exit status 1"
    assert bench.status.worker_exits["crashed"] >= 3
    assert bench.status.workers_started >= 3


async def test_init_that_hangs_is_given_up(bench: Bench, quick: Probe) -> None:
    """Past the startup probe's time the process is killed, and the reason says so."""
    bench.apply(bench.spec(bench.code(HANGS), startup=quick))
    await bench.until(lambda: bench.status.provisioning_state == "Failed" and bench.states == ["backoff"])
    assert bench.status.reason == "init() did not finish in 0.6 s"
    assert bench.status.worker_exits["init_timeout"] >= 1


async def test_killed_worker_is_replaced_under_a_new_address(bench: Bench) -> None:
    """SIGKILL: out of the choice at once, a new process after the back-off, never the same address."""
    await bench.serving()
    (before,) = bench.ready
    os.kill(bench.pid(), signal.SIGKILL)
    await bench.until(lambda: bench.ready == [])
    assert "SIGKILL" in bench.instances[0].reason
    await bench.until(bench.has_settled)
    assert bench.ready != [before]
    assert len(bench.sockets()) == 2
    assert (bench.instances[0].restarts, bench.status.worker_exits) == (1, {"killed": 1})


async def test_stopped_worker_is_replaced(bench: Bench, quick: Probe) -> None:
    """SIGSTOP for longer than a liveness period: killed and replaced."""
    await bench.serving(liveness=quick)
    os.kill(bench.pid(), signal.SIGSTOP)
    await bench.until(lambda: bench.ready == [])
    await bench.until(bench.has_settled)
    assert sum(bench.status.worker_exits.values()) == 1
    assert set(bench.status.worker_exits) <= {"stopped", "liveness"}


async def test_stopped_worker_leaves_the_choice_and_returns(bench: Bench) -> None:
    """SIGSTOP takes it out long before its liveness period is over; after SIGCONT the same process returns."""
    await bench.serving()
    pid = bench.pid()
    os.kill(pid, signal.SIGSTOP)
    await bench.until(lambda: bench.states == ["unready"])
    assert (bench.ready, bench.instances[0].reason) == ([], "the process is stopped")
    os.kill(pid, signal.SIGCONT)
    await bench.until(bench.has_settled)
    assert (bench.pid(), bench.status.worker_exits) == (pid, {})


async def test_silent_worker_leaves_the_choice_and_returns(bench: Bench) -> None:
    """No heartbeat for three seconds takes it out; the same process returns with its next one."""
    spec = await bench.serving()
    pid = bench.pid()
    (spec.code_dir / "silent").touch()
    await bench.until(lambda: bench.states == ["unready"])
    assert (bench.ready, bench.instances[0].reason) == ([], "no heartbeat for 3 s")
    (spec.code_dir / "silent").unlink()
    await bench.until(bench.has_settled)
    assert (bench.pid(), bench.status.worker_exits) == (pid, {})


async def test_failing_liveness_probe_replaces(bench: Bench, quick: Probe) -> None:
    """As often as the threshold says: killed and started again."""
    spec = await bench.serving(liveness=quick)
    (spec.code_dir / "unwell").touch()
    with capture_logs() as events:
        await bench.until(lambda: bench.status.worker_exits == {"liveness": 1})
    assert [event["event"] for event in events][:2] == ["worker.failing", "worker.exited"]
    (spec.code_dir / "unwell").unlink()
    await bench.until(bench.has_settled)


async def test_failing_readiness_probe_takes_out_and_puts_back(bench: Bench, quick: Probe) -> None:
    """Readiness decides on the choice alone; the process stays."""
    spec = await bench.serving(readiness=quick)
    pid = bench.pid()
    with capture_logs() as events:
        (spec.code_dir / "unwell").touch()
        await bench.until(lambda: bench.states == ["unready"])
        assert bench.instances[0].reason == "readiness probe: GET / answered 500"
        (spec.code_dir / "unwell").unlink()
        await bench.until(bench.has_settled)
    assert bench.pid() == pid
    assert [(event["event"], event.get("reason")) for event in events] == [
        ("worker.unready", "readiness probe: GET / answered 500"),
        ("worker.recovered", None),
    ]


async def test_worker_over_its_memory_is_replaced(bench: Bench) -> None:
    """Resident memory past the ceiling, descendants included: killed, with that reason."""
    bench.apply(bench.spec(bench.code(GREEDY), max_memory_bytes=200_000_000))
    await bench.until(lambda: "memory" in bench.status.worker_exits)
    assert "at most 200000000 (max_memory_bytes)" in bench.instances[0].reason


async def test_worker_with_too_many_tasks_is_replaced(bench: Bench) -> None:
    """Threads past the ceiling, those of descendants included: killed, with that reason."""
    bench.apply(bench.spec(bench.code(SPAWNS), max_tasks=100))
    await bench.until(lambda: "tasks" in bench.status.worker_exits)
    assert "threads, at most 100 (max_tasks)" in bench.instances[0].reason


async def test_environment_that_fails_is_a_failed_deployment(bench: Bench) -> None:
    """No process, but a reason and what the installer said."""
    bench.apply(bench.spec(bench.code(GOOD), environment=EnvironmentSpec(conda_file=Path("/nowhere/conda.yaml"))))
    await bench.until(lambda: bench.status.provisioning_state == "Failed")
    assert (bench.status.reason, bench.status.workers_started) == ("no such package: nunpy", 0)
    assert bench.status.log_tail[:2] == ("detail of uv", "no such package: nunpy")
    assert bench.status.worker_exits["environment"] >= 1


async def test_a_log_that_hangs_delays_no_worker(bench: Bench) -> None:
    """Its file cannot even be opened: workers start, print, die, are replaced and stop all the same."""
    path = bench.root / "logs" / "churn" / "blue" / "0.log"
    path.parent.mkdir(parents=True)
    os.mkfifo(path)  # whoever opens it to write waits for a reader
    await bench.serving("def init(): print('there', flush=True)\n")
    victim = bench.pid()
    os.kill(victim, signal.SIGKILL)
    await bench.until(lambda: bench.has_settled() and bench.pid() != victim)
    await bench.supervisor.stop(10.0)
    assert bench.supervisor.statuses() == ()
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK)):  # lets the thread go
        pass

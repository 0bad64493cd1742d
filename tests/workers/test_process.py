"""How a worker starts, says what it does, and fails to start."""

import os
import select
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import workers

ROOT = Path(__file__).parents[2]

FINE = """
def init(): pass
def run(raw_data): return raw_data
"""


def test_a_worker_says_what_it_does_and_when_it_is_ready(start):
    """STATUS while starting, then READY with the pid, then a heartbeat."""
    worker = start(FINE)
    assert worker.heard == [
        *("STATUS=importing score.py", "STATUS=init() runs"),
        *("READY=1", f"MAINPID={worker.process.pid}"),
    ]
    worker.hear("WATCHDOG=1")


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("import no_such_module", "score.py raised ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit(5)", "score.py raised SystemExit: 5"),
        ("def init(): pass", "score.py has no function run()"),
        ("def run(data): pass", "score.py has no function init()"),
        ("init = run = 1", "score.py has no function init()"),
        ("def init(): raise ValueError('bad model')\ndef run(d): pass", "init() raised ValueError: bad model"),
        ("def init(): raise ValueError('two\\n lines')\ndef run(d): pass", "init() raised ValueError: two lines"),
        ("def init(): raise SystemExit\ndef run(d): pass", "init() raised SystemExit"),
        ("def init(): pass\ndef run(): pass", "score.py: run() needs a parameter for the input"),
        (
            "def init(): pass\ndef run(*data): pass",
            "score.py: run() cannot have positional-only parameters, *args or **kwargs",
        ),
        (
            "def init(): pass\ndef run(data, other): pass",
            "score.py: nothing gives run() a value for its parameter 'other'",
        ),
    ],
)
def test_a_script_that_fails_ends_the_worker_with_3(launcher, script, status):
    """The last STATUS and a line on stderr say why."""
    worker = launcher.launch(script)
    assert worker.ended() == 3
    assert worker.statuses()[-1] == status
    assert f"teal worker: {status}\n" in worker.stderr
    assert "READY=1" not in worker.heard


def test_a_syntax_error_is_named_with_its_line(launcher):
    """FILE:LINE first, so that an editor finds it."""
    worker = launcher.launch("def init(): pass\n\ndef run(:\n")
    assert worker.ended() == 3
    assert worker.statuses()[-1] == f"{worker.code_dir}/score.py:3: SyntaxError: invalid syntax"


def test_the_traceback_of_a_failed_init_is_in_the_log(launcher):
    """It begins in the script, not in the worker."""
    worker = launcher.launch("def init():\n    1 / 0\ndef run(d): pass\n")
    assert worker.ended() == 3
    assert 'score.py", line 2, in init' in worker.stderr
    assert "workers/" not in worker.stderr


def test_a_missing_script_ends_the_worker_with_3(launcher):
    """The path that was looked at is named."""
    worker = launcher.launch(FINE, "--script", "other.py")
    assert worker.ended() == 3
    assert worker.statuses()[-1] == f"no scoring script at {worker.code_dir}/other.py"


def test_a_warm_up_request_is_scored_before_ready(start, tmp_path):
    """run() has seen the file's content once by then."""
    (tmp_path / "warm.json").write_text('{"warm": 1}')
    worker = start(
        """
        def init(): pass
        def run(data, request_headers): print("scored", data, request_headers["Content-Type"])
        """,
        *("--warmup-request", str(tmp_path / "warm.json"), "--warmup-content-type", "text/csv"),
    )
    assert worker.stdout == 'scored {"warm": 1} text/csv\n'
    assert "STATUS=warming up" in worker.heard


@pytest.mark.parametrize("define", ["def", "async def"])
def test_a_warm_up_that_fails_is_a_failed_start(launcher, tmp_path, define):
    """Anything but 200 keeps the worker from getting ready."""
    (tmp_path / "warm.json").write_text("{}")
    script = f"def init(): pass\n{define} run(data): raise ValueError('cold')\n"
    worker = launcher.launch(script, "--warmup-request", str(tmp_path / "warm.json"))
    assert worker.ended() == 3
    assert worker.statuses()[-1].startswith('warm-up was answered 500: {"message"')
    assert "ValueError: cold" in worker.stderr


def test_a_warm_up_file_that_is_missing_is_a_failed_start(launcher, tmp_path):
    """The error names the file."""
    worker = launcher.launch(FINE, "--warmup-request", str(tmp_path / "none.json"))
    assert worker.ended() == 3
    assert f"No such file or directory: '{tmp_path}/none.json'" in worker.statuses()[-1]


@pytest.mark.parametrize("arguments", [(), ("--fd", "x"), ("--concurrency", "0"), ("--drain-timeout", "-1")])
def test_wrong_usage_ends_with_2(arguments):
    """argparse's own status, with the usage on stderr."""
    finished = _run(*arguments)
    assert finished.returncode == 2
    assert "usage: python -m workers" in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--fd", "0"), "Socket operation on non-socket"),
        (("--listen", "nonsense"), "'nonsense' is neither unix:/path nor host:port"),
        (("--listen", "unix:/nowhere/at/all"), "No such file or directory"),
        ((), "no socket: give --fd or --listen, or exactly one socket of systemd's"),
    ],
)
def test_a_socket_that_cannot_be_used_ends_with_5(tmp_path, arguments, problem):
    """Said before the script is imported."""
    finished = _run("--script", "score.py", "--code-dir", str(tmp_path), *arguments)
    assert finished.returncode == 5
    assert problem in finished.stderr


def test_an_environment_without_aiohttp_ends_with_4(tmp_path):
    """The message names the interpreter and the way out."""
    finished = _run("--script", "score.py", "--code-dir", str(tmp_path), isolated=True)
    assert finished.returncode == 4
    assert finished.stderr.endswith("has no aiohttp; pip install aiohttp\n")


def test_check_parses_without_running(tmp_path):
    """A script that would fail when imported is fine for --check."""
    (tmp_path / "score.py").write_text("raise ValueError\n")
    finished = _run("--check", str(tmp_path / "score.py"))
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")


def test_check_reports_a_syntax_error_with_its_line(tmp_path):
    """One line, exit status 3."""
    (tmp_path / "score.py").write_text("def init():\n    pass\n  x\n")
    finished = _run("--check", str(tmp_path / "score.py"))
    assert finished.returncode == 3
    assert "score.py:3: IndentationError: unindent does not match" in finished.stderr
    assert finished.stderr.count("\n") == 1


def test_a_worker_ends_with_its_parent(tmp_path):
    """SIGKILL of the parent reaches the worker through the kernel, even inside init()."""
    (tmp_path / "score.py").write_text("import time\ndef init(): print('up'); time.sleep(600)\ndef run(d): pass\n")
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], env=_environment(), stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout.readline() == "up\n"
        parent.kill()
        # The worker holds the pipe's last other end: end of file means that it is gone.
        assert parent.stdout.read() == ""


PARENT = """
import os, subprocess, sys
command = ["--script", "score.py", "--code-dir", sys.argv[1], "--listen", f"unix:{sys.argv[1]}/s"]
command += ["--lifeline-fd", sys.argv[2]] if sys.argv[2:] else []
command = [sys.executable, "-m", "workers", *command, "--watch-parent", str(os.getpid())]
subprocess.run(command, pass_fds=[int(fd) for fd in sys.argv[2:]])
"""


def test_a_worker_with_a_lifeline_outlives_its_parent(tmp_path):
    """It prints for nobody without an error, and is killed when the last writer of the pipe is gone, stopped or not."""
    (tmp_path / "score.py").write_text(PRINTS)
    reader, writer = os.pipe()
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), str(reader)],
        env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, pass_fds=[reader],
    )  # fmt: skip
    os.close(reader)
    with parent:
        pid = int(parent.stdout.readline())
        worker = os.pidfd_open(pid)
        parent.kill()
        parent.wait()
        parent.stdout.close()
    while not (tmp_path / "printed").exists():
        assert not select.select([worker], [], [], 0.01)[0]
    os.kill(pid, signal.SIGSTOP)
    os.close(writer)
    assert select.select([worker], [], [], 60)[0]
    os.close(worker)


PRINTS = """
import os, time
def init():
    parent = os.getppid()
    print(os.getpid(), flush=True)
    while os.getppid() == parent:
        print("still here", flush=True)
    for _ in range(1000):
        print("still here", flush=True)
    open("printed", "w").close()
    time.sleep(600)
def run(d): pass
"""


def test_a_worker_whose_parent_is_another_does_not_start(tmp_path):
    """A parent that died before the worker could watch it is noticed."""
    finished = _run("--script", "score.py", "--code-dir", str(tmp_path), "--watch-parent", "1")
    assert (finished.returncode, finished.stderr) == (0, "")


def test_sigterm_ends_a_running_init_at_once(launcher):
    """Before READY there is nothing to drain."""
    worker = launcher.launch("import time\ndef init(): time.sleep(600)\ndef run(d): pass\n")
    worker.hear("STATUS=init() runs")
    worker.process.send_signal(signal.SIGTERM)
    assert worker.ended() == -signal.SIGTERM


def test_what_a_script_starts_inherits_no_socket(start):
    """A child of the script must not keep the listening socket open."""
    worker = start("""
        import os, subprocess
        def init():
            print(subprocess.run(["ls", "-l", "/proc/self/fd"], capture_output=True, text=True).stdout)
        def run(d): pass
        """)
    assert "socket:" not in worker.stdout


def test_what_a_script_logs_is_in_its_output(start) -> None:
    """From INFO on, with level and logger, as the scripts of Azure's samples expect."""
    worker = start("""
        import logging
        def init():
            logging.info("Init complete")
            logging.getLogger("mine").debug("no")
        def run(d): pass
        """)
    assert worker.stderr == "INFO:root:Init complete\n"


def test_a_script_that_configures_logging_gets_what_it_asks_for(start) -> None:
    """Nothing of the worker's stands in the way of basicConfig()."""
    worker = start("""
        import logging
        logging.basicConfig(format="mine: %(message)s", level=logging.DEBUG)
        def init(): logging.getLogger("mine").debug("yes")
        def run(d): pass
        """)
    assert "mine: yes\n" in worker.stderr


def test_logging_json_in_the_code_folder_configures_logging(start) -> None:
    """As in Azure's server."""
    worker = start(
        """
        import logging
        def init():
            logging.info("no")
            logging.warning("yes")
        def run(d): pass
        """,
        files={"logging.json": '{"version": 1, "root": {"level": "WARNING"}}'},
    )
    assert worker.stderr == "WARNING:root:yes\n"


def test_the_version_is_the_projects():
    """x-ms-server-version must not lag behind a release."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == workers.VERSION


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def _run(*arguments: str, isolated: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a worker to its end; isolated from every installed package if asked to."""
    options = ("-S",) if isolated else ()
    return subprocess.run(
        [sys.executable, *options, "-m", "workers", *arguments],
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

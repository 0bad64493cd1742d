"""teal as a service of the systemd that this runs under, which is a throw-away one."""

import shutil
import subprocess
import sys
from pathlib import Path

from harness.systems import ROOT

CONFIG = Path("/etc/teal/teal.yaml")
STATE_DIR = Path("/var/lib/teal")
UNITS = Path("/etc/systemd/system")
_JOURNAL_LINES = "40"


def install(settings: str = "") -> None:
    """teal in /opt/teal as an installation has it, from this checkout and the interpreter that runs this.

    Args:
        settings: Lines for the `[Service]` section.
    """
    bind = {"/opt/python": Path(sys.base_prefix), "/opt/site": _site_packages(), "/opt/src": ROOT}
    for target, source in bind.items():
        Path(target).mkdir(parents=True, exist_ok=True)
        run("mount", "--bind", str(source), target)
    run(f"/opt/python/bin/{_python_name()}", "-m", "venv", "--without-pip", "/opt/teal")
    own = next(Path("/opt/teal/lib").glob("python*/site-packages"))
    (own / "teal.pth").write_text("/opt/src\n/opt/site\n")
    command = Path("/opt/teal/bin/teal")
    command.write_text("#!/opt/teal/bin/python\nimport sys\nfrom router.cli.main import main\nsys.exit(main())\n")
    command.chmod(0o755)
    for unit in ("teal.service", "teal.socket"):
        shutil.copy(ROOT / "systemd" / unit, UNITS)
    run("systemd-sysusers", str(ROOT / "systemd/teal.sysusers"))
    CONFIG.parent.mkdir(parents=True, exist_ok=True)
    run("systemd-tmpfiles", "--create", str(ROOT / "systemd/teal.tmpfiles"))
    # The interpreter looks for its shared library where it was built, which the unit's ProtectHome= may hide.
    drop_in("teal.service", f"[Service]\nEnvironment=LD_LIBRARY_PATH=/opt/python/lib\n{settings}")


def drop_in(unit: str, text: str) -> None:
    """Change a unit as `systemctl edit` does."""
    path = UNITS / f"{unit}.d" / "test.conf"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    run("systemctl", "daemon-reload")


def run(*command: str) -> str:
    """What a command prints; one that fails ends this program, with its output and the journal's last lines."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = subprocess.run(
            ["journalctl", "-n", _JOURNAL_LINES, "--no-pager"], capture_output=True, text=True, check=False
        )
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}\n{last.stdout}")
    return done.stdout or "done"


def show(name: str) -> str:
    """A property of the service."""
    return run("systemctl", "show", "teal", "--value", "-p", name).strip()


def main_pid() -> int:
    """The control process; 0 if there is none."""
    return int(show("MainPID"))


def is_active() -> bool:
    return show("ActiveState") == "active"


def pids() -> set[int]:
    """Every process of the service."""
    processes = Path("/sys/fs/cgroup/system.slice/teal.service/cgroup.procs")
    return {int(pid) for pid in processes.read_text().split()} if processes.exists() else set()


def journal() -> str:
    """All that the service has written."""
    return run("journalctl", "-u", "teal", "-o", "cat", "--no-pager")


def _site_packages() -> Path:
    return Path(sys.prefix, "lib", _python_name(), "site-packages")


def _python_name() -> str:
    return f"python{sys.version_info.major}.{sys.version_info.minor}"

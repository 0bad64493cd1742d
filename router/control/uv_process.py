"""uv as a child process: its lines as they come, and its failure in one sentence."""

import asyncio
import json
import os
import re
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import uv

from router import descriptors
from router.control.conda import OLDEST_PYTHON

_TAIL_LINES = 60
_LONGEST_LINE_BYTES = 1 << 20  # the resolver explains itself in one line, however long

# `error:`, `cause:` since uv 0.10; before that `×`, `╰─▶` (wrapped at 80 columns) and `Caused by:`.
_PART = re.compile(r"\s*(?P<mark>error:|cause:|Caused by:|×|[├╰]─▶)\s*(?P<text>.*)")
#: No bar, no colours, and no line broken at the width of the terminal that teal was started in.
_PLAIN = {"UV_NO_PROGRESS": "1", "NO_COLOR": "1", "COLUMNS": "65535"}
_WRAPPED = ("×", "├─▶", "╰─▶")


class UvFailed(Exception):
    """uv ended with an error.

    Attributes:
        reason: What it was, without uv's layout.
        detail: The last lines that uv printed.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


async def run_uv(
    arguments: Sequence[str],
    *,
    cwd: Path,
    report: Callable[[str], None],
    environ: Mapping[str, str] | None = None,
    stdin: str = "",
) -> None:
    """Run uv to its end and report every line it prints; when cancelled, kill it and what it started.

    Args:
        environ: Variables on top of this process's own.

    Raises:
        UvFailed: uv's exit status was not 0.
    """
    process = await asyncio.create_subprocess_exec(
        uv.find_uv_bin(),
        *arguments,
        cwd=cwd,
        env={**os.environ, **_PLAIN, **(environ or {})},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,  # its own group, so that build backends die with it
        limit=_LONGEST_LINE_BYTES,
    )
    descriptors.restore_limit_of(process.pid)
    try:
        tail = await _follow(process, stdin, report)
    finally:
        await _end(process)
    if process.returncode != 0:
        raise UvFailed(decisive_line(tail) or f"uv ended with status {process.returncode}", "\n".join(tail))


async def installed_pythons() -> list[str]:
    """The versions of the interpreters that uv finds on this machine, newest first."""
    process = await asyncio.create_subprocess_exec(
        *(uv.find_uv_bin(), "python", "list", "--only-installed", "--output-format", "json"),
        env={**os.environ, "PATH": python_search_path()},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        listing, _ = await process.communicate()
    finally:
        await _end(process)
    versions = {str(entry["version"]) for entry in json.loads(listing or "[]")}
    return sorted(versions, key=_version_key, reverse=True)


def python_search_path() -> str:
    """`PATH` with pyenv's interpreters in front.

    pyenv's shims answer only for the versions selected globally, and uv stops at the first one that fails; it also
    stops at a Python 2.
    """
    root = Path(os.environ.get("PYENV_ROOT") or os.environ.get("HOME", "/nonexistent") + "/.pyenv")
    folders = [
        folder for folder in root.glob("versions/*.*.*/bin") if _version_key(folder.parent.name) >= OLDEST_PYTHON
    ]
    pyenv = sorted(folders, key=lambda folder: _version_key(folder.parent.name), reverse=True)
    return os.pathsep.join([*map(str, pyenv), os.environ.get("PATH", os.defpath)])


def decisive_line(output: Sequence[str]) -> str:
    """What went wrong, from what uv printed; `""` if it does not say."""
    parts: list[str] = []
    wrapped = False
    for line in output:
        part = _PART.match(line)
        if part:
            parts.append(part["text"])
            wrapped = part["mark"] in _WRAPPED
        elif wrapped and line.strip():
            parts[-1] += " " + line.strip(" │")
        else:
            wrapped = False
    if len(parts) > 1 and parts[0].startswith("No solution found"):
        del parts[0]
    text = ": ".join(part.strip().rstrip(":.") for part in parts)
    return text.removeprefix("Because ").removesuffix(", we can conclude that your requirements are unsatisfiable")


def _version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


async def _follow(process: asyncio.subprocess.Process, stdin: str, report: Callable[[str], None]) -> list[str]:
    """Feed uv and report its lines until it closes its output; the last lines come back."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(stdin.encode())
    process.stdin.close()
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    async for line in process.stdout:
        text = line.decode(errors="replace").rstrip()
        tail.append(text)
        if text:
            report(text.strip())
    await process.wait()
    return list(tail)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()

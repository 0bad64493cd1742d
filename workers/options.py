"""The command line of a worker."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional, Sequence

DESCRIPTION = "Serve one scoring script over HTTP. Exit status: 0 stopped, 2 usage, 3 the scoring script failed, \
4 the environment lacks a package, 5 the socket cannot be used."


@dataclass(frozen=True)
class Options:
    """What `python -m workers` was asked to serve; paths are absolute."""

    script: Path
    script_name: str  # as given: what AZUREML_ENTRY_SCRIPT says
    code_dir: Path
    model_dir: Optional[Path]
    fd: Optional[int]
    listen: Optional[str]
    concurrency: int
    warmup_request: Optional[Path]
    warmup_content_type: str
    drain_timeout_s: float
    watch_parent: Optional[int]
    lifeline_fd: Optional[int]
    check: Optional[Path]


def parse(arguments: Sequence[str]) -> Options:
    """Read the command line; wrong usage ends the process with status 2."""
    parser = _build_parser()
    given = parser.parse_args(arguments)
    if given.check is None and (given.script is None or given.code_dir is None):
        parser.error("--script and --code-dir are needed, or --check")
    code_dir = (given.code_dir or Path()).absolute()
    return Options(
        script=code_dir / (given.script or ""),
        script_name=given.script or "",
        code_dir=code_dir,
        model_dir=given.model_dir and given.model_dir.absolute(),
        fd=given.fd,
        listen=given.listen,
        concurrency=given.concurrency,
        warmup_request=given.warmup_request and given.warmup_request.absolute(),
        warmup_content_type=given.warmup_content_type,
        drain_timeout_s=given.drain_timeout,
        watch_parent=given.watch_parent,
        lifeline_fd=given.lifeline_fd,
        check=given.check,
    )


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workers", description=DESCRIPTION)
    add = parser.add_argument
    add("--script", metavar="FILE", help="scoring script with init() and run(), relative to the code folder")
    add("--code-dir", type=Path, metavar="DIR", help="working directory and first place for imports")
    add("--model-dir", type=Path, metavar="DIR", help="AZUREML_MODEL_DIR, where the environment does not set it")
    socket = parser.add_mutually_exclusive_group()
    socket.add_argument("--fd", type=_at_least(0), metavar="N", help="inherited listening socket")
    socket.add_argument("--listen", metavar="ADDRESS", help="unix:/path or host:port; default: systemd's LISTEN_FDS")
    add("--concurrency", type=_at_least(1), default=1, metavar="K", help="how many run() at a time (%(default)s)")
    add("--warmup-request", type=Path, metavar="FILE", help="body that must score 200 before the worker is ready")
    add("--warmup-content-type", default="application/json", metavar="TYPE", help="its type (%(default)s)")
    add("--drain-timeout", type=_seconds, default=30.0, metavar="SECONDS", help="after SIGTERM (%(default)s)")
    add("--watch-parent", type=_at_least(1), metavar="PID", help="end when this parent process ends")
    add("--lifeline-fd", type=_at_least(0), metavar="N", help="live on for as long as this inherited pipe has a writer")
    add("--check", type=Path, metavar="FILE", help="only parse this script; report a syntax error with its line")
    return parser


def _at_least(low: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < low:
            raise argparse.ArgumentTypeError(f"{value} is less than {low}")
        return value

    return number


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return value

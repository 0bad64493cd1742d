"""Entry point of a proxy process; started by the control process only."""

import argparse
import asyncio
import ctypes
import os
import signal
import sys

import uvloop

from router import compiled

compiled.use()  # before the first module of the request path is imported

from router import descriptors, logs  # noqa: E402
from router.line_writer import LineWriter  # noqa: E402
from router.proxy.process import ProxyOptions, ProxyProcess  # noqa: E402
from router.proxy.shared_ledger import SharedLedger, shared_crowd  # noqa: E402

_PR_SET_PDEATHSIG = 1
_LOG_BUFFER_BYTES = 8 * 2**20


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m router.proxy")
    parser.add_argument("--listen-fd", type=int, action="append", required=True)
    parser.add_argument("--cover-fd", type=int, action="append", default=[], help="listening sockets of other slots")
    parser.add_argument("--link-fd", type=int, required=True)
    parser.add_argument("--slot", type=int, default=0)
    parser.add_argument("--ledger-fd", type=int, help="memory in which several proxies count together")
    parser.add_argument("--crowd-fd", type=int, help="memory in which they count their clients")
    parser.add_argument("--wake-fd", type=int, action="append", help="event counter of each slot, in their order")
    parser.add_argument("--parent", type=int, required=True, help="process to end with")
    parser.add_argument("--log-format", choices=("json", "console"), default="json")
    parser.add_argument("--log-level", default="info")
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    parser.add_argument("--lane", choices=("fast", "full"), default="fast", help="full: without the fast lane")
    arguments = parser.parse_args()
    end_with_parent(arguments.parent)
    descriptors.raise_limit()
    # One writer for log and access log: lines of two writers could end up within each other.
    writer = LineWriter(sys.stdout.fileno(), _LOG_BUFFER_BYTES)
    logs.configure(arguments.log_format, arguments.log_level, f"proxy-{arguments.slot}", writer=writer)
    ledger = crowd = None
    if arguments.ledger_fd is not None:
        ledger = SharedLedger(arguments.ledger_fd, arguments.wake_fd, arguments.slot)
        crowd = shared_crowd(arguments.crowd_fd, arguments.slot, ledger.slots)
    options = ProxyOptions(
        listen_fds=tuple(arguments.listen_fd),
        cover_fds=tuple(arguments.cover_fd),
        link_fd=arguments.link_fd,
        log_style=arguments.log_format,
        log=writer,
        has_fast_lane=arguments.lane == "fast",
        ledger=ledger,
        crowd=crowd,
        parent=arguments.parent,
    )
    factory = uvloop.new_event_loop if arguments.loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_run(options))
    return 0


async def _run(options: ProxyOptions) -> None:
    await ProxyProcess(options).run()


def end_with_parent(parent: int) -> None:
    """Have the kernel let this process go on when `parent` ends, should it stand still (SIGSTOP): it has to end too.

    That the parent has ended, it is told by its link.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGCONT)
    if os.getppid() != parent:  # it ended before we asked
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(main())

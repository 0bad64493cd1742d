"""How many files a process may have open: teal's own as many as the system allows, those of others what is usual."""

import contextlib
import resource

#: The soft limit that this process began with; the module is imported before anything can have raised it.
SOFT_LIMIT_AT_START = resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def raise_limit() -> None:
    """Let this process open as many files as it may: the soft limit is for programs that use `select`."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # RLIM_INFINITY, where the kernel allows less
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def restore_limit_of(pid: int) -> None:
    """Give a child that was just started the soft limit that this process began with: it may use `select`."""
    with contextlib.suppress(ValueError, OSError):  # it has ended already, or may not be touched: it can do without
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(SOFT_LIMIT_AT_START, hard), hard))

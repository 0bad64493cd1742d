"""A worker never outlives the process that started it."""

from __future__ import annotations

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1


def follow(parent_pid: int) -> bool:
    """Have the kernel kill this process when its parent dies; False if the parent is gone already."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    # Asked only after prctl: a parent that died before it sends no signal any more.
    return os.getppid() == parent_pid

"""A worker never outlives those who need it."""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import threading
from typing import Optional

PR_SET_PDEATHSIG = 1
OUTPUTS = (1, 2)


def follow(parent_pid: int, lifeline: Optional[int] = None) -> bool:
    """Have the kernel kill this process when nobody needs it any more; False if its parent is gone already.

    Args:
        lifeline: A pipe to which nobody writes: kill it when its last writer is gone. None: when its parent dies.
    """
    if lifeline is None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    else:
        os.set_inheritable(lifeline, False)
        # The kernel signals the end of the pipe; SIGKILL reaches a script that is stopped or hangs in native code, too.
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    # Asked only after that: a parent that died before it sends no signal any more.
    return os.getppid() == parent_pid


def drop_output_after(parent_pid: int) -> None:
    """What is printed when the parent, which reads it, has died is lost: no error of the script, and no full pipe."""
    try:
        watched = os.pidfd_open(parent_pid)
        # While we have this end ourselves, printing is no error until somebody has noticed.
        unread = os.open(f"/proc/self/fd/{OUTPUTS[0]}", os.O_RDONLY | os.O_NONBLOCK)
    except OSError:  # not a pipe, or the system cannot tell
        return
    threading.Thread(target=_drop_output, args=(watched, unread), name="output", daemon=True).start()


def _drop_output(watched: int, unread: int) -> None:
    ended = select.poll()
    ended.register(watched, select.POLLIN)
    ended.poll()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for output in OUTPUTS:
        if os.path.samestat(os.fstat(output), os.fstat(unread)):  # the script may have turned it elsewhere
            os.dup2(nowhere, output)
    os.close(nowhere)
    os.close(unread)

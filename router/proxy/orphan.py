"""The end of a proxy whose control process is gone, whatever the proxy's event loop does."""

import os
import select
import signal
import threading
from collections.abc import Callable
from time import sleep


def end_in_time_after(parent: int, limit_s: Callable[[], float]) -> None:
    """Have this process killed if it is still there `limit_s()` seconds after `parent` has ended.

    Nothing happens if `parent` has ended already, or if the system cannot tell.
    """
    try:
        watched = os.pidfd_open(parent)
    except OSError:
        return
    threading.Thread(target=_wait, args=(watched, limit_s), name="orphan", daemon=True).start()


def _wait(watched: int, limit_s: Callable[[], float]) -> None:
    ended = select.poll()
    ended.register(watched, select.POLLIN)
    ended.poll()
    sleep(limit_s())
    os.kill(os.getpid(), signal.SIGKILL)

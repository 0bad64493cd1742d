"""The end of the process, also with a thread that hangs in a file system that does not answer."""

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

_LAST_WORDS_S = 1.0


def end_threads(threads: ThreadPoolExecutor, *, patience_s: float, exit_code: int) -> None:
    """Return once all threads have ended; if one does not in time, end this process with `exit_code` there and then.

    Nobody can end a thread that waits for a server that is gone, and the interpreter would wait for it without end.
    """
    ending = threading.Thread(target=threads.shutdown, kwargs={"cancel_futures": True}, name="end-threads", daemon=True)
    ending.start()
    ending.join(patience_s)
    if ending.is_alive():
        _leave("a thread that hangs", exit_code)


def end_at_latest(limit_s: float, *, exit_code: int) -> None:
    """End this process with `exit_code` if it is still there in `limit_s` seconds, whatever its main thread does."""
    threading.Thread(target=_leave_in, args=(limit_s, exit_code), name="end-at-latest", daemon=True).start()


def _leave_in(limit_s: float, exit_code: int) -> None:
    time.sleep(limit_s)
    _leave(f"a stop that was not done in {limit_s:g} s", exit_code)


def _leave(what: str, exit_code: int) -> NoReturn:
    # A pipe that nobody reads must not keep it here either.
    telling = threading.Thread(target=_tell, args=(what,), name="last-words", daemon=True)
    telling.start()
    telling.join(_LAST_WORDS_S)
    os._exit(exit_code)


def _tell(what: str) -> None:
    print(f"teal: left with {what}, perhaps in a file system that does not answer", file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()

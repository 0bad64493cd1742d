"""The end of the process, also with a thread that hangs in a file system that does not answer."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor


def end_threads(threads: ThreadPoolExecutor, *, patience_s: float, exit_code: int) -> None:
    """Return once all threads have ended; if one does not in time, end this process with `exit_code` there and then.

    Nobody can end a thread that waits for a server that is gone, and the interpreter would wait for it without end.
    """
    ending = threading.Thread(target=threads.shutdown, kwargs={"cancel_futures": True}, name="end-threads", daemon=True)
    ending.start()
    ending.join(patience_s)
    if ending.is_alive():
        print("teal: left with a thread that hangs, perhaps in a file system that does not answer", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)

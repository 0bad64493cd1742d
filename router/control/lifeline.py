"""What keeps workers alive: a pipe whose writing end the control process and every proxy hold, and nobody writes to."""

import contextlib
import os
from collections.abc import Iterator


class Lifeline:
    """A pipe; once its last writer is gone, the kernel kills the workers (see `workers.parent`).

    This process keeps it open until its end. So workers outlive a control process that was killed, for as long as a
    proxy finishes requests.

    Attributes:
        writer: The end for proxies to inherit.
    """

    def __init__(self) -> None:
        self._reader, self.writer = os.pipe()

    @contextlib.contextmanager
    def reader(self) -> Iterator[int | None]:
        """A descriptor for one worker: whom the kernel signals is kept with each opening. None without a `/proc`.

        Raises:
            OSError: there are no descriptors left.
        """
        try:
            fd = os.open(f"/proc/self/fd/{self._reader}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            yield None
            return
        try:
            yield fd
        finally:
            os.close(fd)

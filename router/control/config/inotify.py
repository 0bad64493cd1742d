"""What happens in folders, told by the kernel to whoever waits for it: no thread, and no timer that looks whether.

Linux has this as inotify(7), which Python's library does not.
"""

import ctypes
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

_ATTRIB, _CLOSE_WRITE, _MODIFY = 0x4, 0x8, 0x2
_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF = 0x400, 0x800
# Not that something was opened or read: whoever looks at the file does that.
_MASK = (
    _ATTRIB | _CLOSE_WRITE | _MODIFY | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF
)  # fmt: skip
_HEAD = struct.Struct("iIII")  # watch, what happened, a number that moves share, length of the name
_READ_BYTES = 64 * 1024

_libc = ctypes.CDLL(None, use_errno=True)


class FolderEvents:
    """Events in some folders, not in those below them, from the moment it is made until it is closed.

    Raises:
        FileNotFoundError: a folder is not there.
        OSError: this machine gives no events, or no more of them, or none of such a folder.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._fd = _called(_libc.inotify_init1, os.O_NONBLOCK | os.O_CLOEXEC)
        self._folders: dict[int, Path] = {}
        try:
            for folder in folders:
                watch = _called(_libc.inotify_add_watch, self._fd, os.fsencode(folder), ctypes.c_uint32(_MASK))
                self._folders[watch] = folder
        except OSError:
            self.close()
            raise

    def fileno(self) -> int:
        """Can be read from once something has happened."""
        return self._fd

    def read(self) -> set[Path]:
        """What has changed, as far as it is known: names in the folders, and folders of which nothing more is known."""
        try:
            told = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return set()
        return set(self._changed(told))

    def close(self) -> None:
        os.close(self._fd)

    def _changed(self, told: bytes) -> Iterator[Path]:
        at = 0
        while at < len(told):
            watch, _, _, length = _HEAD.unpack_from(told, at)
            at += _HEAD.size + length
            name = told[at - length : at].rstrip(b"\0")
            folder = self._folders.get(watch)
            if folder is None:  # so much has happened that the kernel gave up counting
                yield from self._folders.values()
            else:
                yield folder / os.fsdecode(name) if name else folder


def _called(function: Callable[..., int], *arguments: object) -> int:
    """The result of a system call."""
    result = function(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result

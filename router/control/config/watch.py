"""Notices every change of the config file, however it is made.

- Events come from the folders that the file's name and its symbolic links lead through, because editors, `mv` and
  Kubernetes replace the file or a link; a watch of the file itself would follow the old one.
- A slow poll reads the file whatever the events say: mounts and network file systems send none.
- A change counts once the file has been still for `quiet_s`; a file that is gone or empty, or that was caught while it
  grows, gets `patience_s` to be finished. Under permanent saving something is yielded every `patience_s` all the same.
"""

import asyncio
import errno
import os
import stat
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog
from watchfiles import Change, awatch

from router.control.config.source import read_opened

log: structlog.stdlib.BoundLogger = structlog.get_logger()

_MAX_LINKS = 40  # as the kernel
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR})


@dataclass(frozen=True, slots=True)
class Changed:
    """The file has new content."""

    content: bytes


@dataclass(frozen=True, slots=True)
class Gone:
    """The file does not exist any more."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The file is there and cannot be read."""

    reason: str


FileEvent = Changed | Gone | Unreadable


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the file saw; two equal looks mean that nothing was written between them."""

    event: FileEvent
    file: tuple[int, int] | None = None  # device and inode
    size: int = 0
    mtime_ns: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether this may be what somebody wanted; a file is also gone or empty in the middle of being saved."""
        return isinstance(self.event, Unreadable) or (isinstance(self.event, Changed) and self.event.content != b"")

    def is_grown_from(self, earlier: "Look") -> bool:
        """Whether the same file got longer: somebody is still writing it."""
        return self.file is not None and self.file == earlier.file and 0 < earlier.size < self.size


class Stillness:
    """Judges from looks at a file whether its content may be taken; times are monotonic seconds."""

    def __init__(self, look: Look, now: float, *, quiet_s: float, patience_s: float) -> None:
        self._quiet_s = quiet_s
        self._patience_s = patience_s
        self._last = look
        self._still_since = now
        self._waited_since = now

    def is_reached(self, look: Look, now: float) -> bool:
        """Whether the file has been still for long enough, or been waited for long enough."""
        earlier, self._last = self._last, look
        if look != earlier:
            self._still_since = now
        if look.is_grown_from(earlier):
            self._waited_since = now
            return False
        if look.is_whole:
            return now - self._still_since >= self._quiet_s or now - self._waited_since >= self._patience_s
        return now - self._still_since >= self._patience_s


async def watch(
    path: Path,
    *,
    seen: bytes | None = None,
    poll_s: float = 2.0,
    quiet_s: float = 0.05,
    patience_s: float = 0.5,
    events: bool = True,
) -> AsyncGenerator[FileEvent, None]:
    """Yield what became of the file, each time that differs from what was yielded before.

    Close the generator (`contextlib.aclosing`) if you leave it early; it owns a task.

    Args:
        seen: The content that the caller already has. Without it, the first content is yielded too.
        events: False to rely on the poll alone.
    """
    last: FileEvent | None = None if seen is None else Changed(seen)
    wake = asyncio.Event()
    notifier = asyncio.create_task(_notify(path, wake, poll_s), name="config-notify") if events else None
    try:
        while True:
            wake.clear()
            look = await asyncio.to_thread(_look, path)
            if look.event != last:
                look = await _settled(path, look, quiet_s, patience_s)
            if look.event != last:
                last = look.event
                yield look.event
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(poll_s):
                    await wake.wait()
    finally:
        if notifier is not None:
            notifier.cancel()
            await asyncio.gather(notifier, return_exceptions=True)


def current(path: Path) -> FileEvent:
    """What a look at the file sees now."""
    return _look(path).event


async def _settled(path: Path, look: Look, quiet_s: float, patience_s: float) -> Look:
    """The file once nobody seems to be writing it, or when patience is at its end."""
    loop = asyncio.get_running_loop()
    stillness = Stillness(look, loop.time(), quiet_s=quiet_s, patience_s=patience_s)
    while True:
        await asyncio.sleep(quiet_s)
        look = await asyncio.to_thread(_look, path)
        if stillness.is_reached(look, loop.time()):
            return look


def _look(path: Path) -> Look:
    try:
        # Not to hang on a pipe that somebody put in the file's place.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return Look(Gone() if error.errno in _GONE else Unreadable(_reason(error)))
    try:
        return _read(descriptor)
    except OSError as error:
        return Look(Unreadable(_reason(error)))
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> Look:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return Look(Unreadable("not a regular file"))
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        content = read_opened(file)
    return Look(Changed(content), (status.st_dev, status.st_ino), len(content), status.st_mtime_ns)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


async def _notify(path: Path, wake: asyncio.Event, poll_s: float) -> None:
    """Set `wake` at every event near the file; end with one log line if this machine gives no events."""
    try:
        while True:
            folders = await asyncio.to_thread(_folders, path)
            # awatch arms before its first await, so this runs right after: what came before it is looked at then.
            asyncio.get_running_loop().call_soon(wake.set)
            if folders:
                await _follow(path, folders, wake, poll_s)
            else:
                await asyncio.sleep(poll_s)
    except (OSError, RuntimeError) as error:  # watchfiles' own error is a RuntimeError
        log.warning("config.watch_failed", path=str(path), reason=str(error), poll_s=poll_s, hint="polling instead")


async def _follow(path: Path, folders: dict[Path, tuple[int, int]], wake: asyncio.Event, poll_s: float) -> None:
    """Set `wake` at every event in the folders, until they are not the ones that lead to the file any more."""
    with suppress(FileNotFoundError):  # gone since they were listed
        changes = awatch(
            *folders,
            watch_filter=_near(path, folders),
            debounce=200,
            step=20,
            rust_timeout=int(poll_s * 1000),
            yield_on_timeout=True,
            recursive=False,
        )
        async with aclosing(changes):
            async for change in changes:
                if change:
                    wake.set()
                if await asyncio.to_thread(_folders, path) != folders:
                    return


def _near(path: Path, folders: dict[Path, tuple[int, int]]) -> Callable[[Change, str], bool]:
    """Whether an event may concern the file: of its folder's parent, only what happens to the folder itself."""
    above = path.absolute().parent.parent
    inside = frozenset(str(folder) for folder in folders if folder != above)

    def is_near(_: Change, name: str) -> bool:
        return name in inside or os.path.dirname(name) in inside  # noqa: PTH120 - called for every event

    return is_near


def _folders(path: Path) -> dict[Path, tuple[int, int]]:
    """Every folder where an event may concern the file, with its device and inode."""
    file = path.absolute()
    candidates = [file.parent.parent, file.parent]
    for _ in range(_MAX_LINKS):
        if not file.is_symlink():
            break
        file = file.parent / file.readlink()
        candidates.append(file.parent)
    candidates.append(Path(os.path.realpath(path)).parent)
    return {folder: identity for folder in candidates if (identity := _identity(folder))}


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino)

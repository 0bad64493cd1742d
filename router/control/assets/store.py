"""The copies of models, code and environment files that deployments run: one folder each, named after its content.

Rules
- `<root>/<digest>/` has one file or folder, under its own name. What bears a digest is whole and has that content.
- A copy is made under another name, put onto the disk, and renamed; what a crash left is swept by `tidy`.
- A copy that nothing refers to stays for `GRACE_S` after it was last asked for: between an upload and the command that
  uses it there is nothing that refers to it.
"""

import asyncio
import errno
import os
import re
import tempfile
import threading
import time
from collections.abc import AsyncIterable, Collection, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import structlog

from router.control.assets.content import Content, ContentError, Fingerprint, chunks_of, tree_digest
from router.control.assets.removal import remove
from router.control.assets.unpacking import BadTar, settle, unpack, write_file
from router.control.config.problem import Problem
from router.control.refusal import Invalid, NotFound, NotWritten, StorageFull
from router.control.threads import Threads

log = structlog.get_logger()

GRACE_S = 24 * 3600.0

#: Uploads that are unpacked at a time; further ones are refused. Each may hold two chunks in memory.
_UPLOADS = 64
_BUSY = f"{_UPLOADS} uploads are under way, and no more are taken at a time; try again in a moment"
#: How long an upload may stand still.
_SILENCE_S = 60.0
#: How long a stop waits for uploads that were given up: they only have to remove what is there of them.
_CLOSE_S = 5.0

_DIGEST = re.compile(r"[0-9a-f]{64}")
_COMING, _GOING = ".coming-", ".going-"
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_THE_FIRST = {errno.ENOTEMPTY, errno.EEXIST}


class ContentStore:
    """The copies below `root`. Its methods may be called from any thread; one daemon uses a folder at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._uploads = Threads("upload", limit=_UPLOADS, busy=_BUSY)
        # Whether a copy is still wanted is asked and answered by one thread at a time.
        self._sweeping = threading.Lock()

    def tidy(self) -> None:
        """Remove what a crash left half made or half removed. Called before anything else is."""
        for left in [*self.root.glob(f"{_COMING}*"), *self.root.glob(f"{_GOING}*")]:
            _remove(left)

    def close(self) -> None:
        """Wait until uploads that were given up have left nothing behind."""
        self._uploads.join(_CLOSE_S)

    def has(self, digest: str) -> bool:
        """Whether there is a copy of this content; it then stays for another `GRACE_S` at least.

        Raises:
            Invalid: that is no digest.
        """
        folder = self._folder(digest)
        with self._sweeping:
            try:
                os.utime(folder)
            except FileNotFoundError:
                return False
            except OSError as error:
                raise _not_written(error, self.root) from error
            return True

    def path(self, digest: str) -> Path:
        """The file or folder with this content; it then stays for another `GRACE_S` at least.

        Raises:
            NotFound: there is no copy of it.
        """
        if self.has(digest):
            for only in self._folder(digest).iterdir():
                return only
        raise NotFound(f"there is no copy of the content {digest}; send it again")

    async def receive(self, digest: str, chunks: AsyncIterable[bytes]) -> Path:
        """Keep what comes as a tar stream; return the file or folder. The stream is read to its end.

        Raises:
            Invalid: it is no tar, has what is refused, or has another content than `digest` says.
            StorageFull: there is no room. Nothing is left of it.
            NotWritten: the disk does not take it.
            Unavailable: too many uploads are under way.
        """
        if await asyncio.to_thread(self.has, digest):
            async for _ in chunks:
                pass
            return await asyncio.to_thread(self.path, digest)
        stream = _Stream(chunks, asyncio.get_running_loop())
        try:
            return await self._uploads.run(self.unpack, digest, cast("IO[bytes]", stream))
        finally:
            stream.close()

    def unpack(self, digest: str, stream: IO[bytes]) -> Path:
        """The same for a stream that is read in this thread."""
        self._folder(digest)
        with self._coming() as folder:
            try:
                found = unpack(stream, folder)
                while stream.read(2**16):
                    pass  # an answer before the end of a request resets the connection
            except BadTar as error:
                raise _invalid(str(error)) from error
            if tree_digest(found) != digest:
                raise _invalid(
                    f"the content is not that of {digest}: it did not arrive as a whole, or changed while it was "
                    "being read; send it again"
                )
            return self._kept(digest, folder)

    def add(self, path: Path) -> str:
        """Keep a file or folder of this machine; return its digest.

        Raises:
            ContentError: it cannot be read, or changes while it is.
            StorageFull: there is no room. Nothing is left of it.
            NotWritten: the disk does not take it.
        """
        return self.keep(Content.of(path))

    def keep(self, content: Content) -> str:
        """The same for what has been looked at already."""
        if not self.has(content.digest):
            with self._coming() as folder:
                _copy(content, folder)
                self._kept(content.digest, folder)
        return content.digest

    def keep_text(self, name: str, text: str) -> str:
        """Keep a text as a file called `name`; return its digest."""
        with self._coming() as folder:
            sha256 = write_file(folder / name, [text.encode()], is_executable=False)
            digest = tree_digest([Fingerprint(name, is_folder=False, is_executable=False, sha256=sha256)])
            self._kept(digest, folder)
        return digest

    def sweep(self, in_use: Collection[str], *, now: float | None = None) -> list[str]:
        """Remove every copy that is not in use and was not asked for within `GRACE_S`; return their digests.

        Args:
            now: Unix seconds.
        """
        oldest = (time.time() if now is None else now) - GRACE_S
        gone = []
        for digest in self._digests():
            if digest not in in_use and self._take_away(digest, oldest):
                log.info("content.removed", digest=digest)
                gone.append(digest)
        return gone

    def _digests(self) -> list[str]:
        try:
            return sorted(path.name for path in self.root.iterdir() if _DIGEST.fullmatch(path.name))
        except FileNotFoundError:
            return []

    def _take_away(self, digest: str, oldest: float) -> bool:
        """Remove a copy that was last asked for before `oldest`."""
        going = self.root / f"{_GOING}{digest}"
        try:
            with self._sweeping:
                folder = self._folder(digest)
                if folder.stat().st_mtime >= oldest:
                    return False
                # Renamed first, so that no half of it ever bears the digest.
                folder.rename(going)
            remove(going)
        except OSError as error:
            log.warning("content.not_removed", digest=digest, reason=str(error))
            return False
        return True

    def _folder(self, digest: str) -> Path:
        if _DIGEST.fullmatch(digest) is None:
            raise _invalid(f"{digest[:100]!r} is no digest; expected 64 hexadecimal digits in lower case")
        return self.root / digest

    @contextmanager
    def _coming(self) -> Iterator[Path]:
        """An empty folder that is gone at the end, unless it was renamed meanwhile."""
        try:
            self.root.mkdir(mode=0o750, parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=_COMING, dir=self.root))
        except OSError as error:
            raise _not_written(error, self.root) from error
        try:
            yield folder
        except ConnectionError:
            raise  # whoever sends it has gone; that is not the disk's fault
        except OSError as error:
            raise _not_written(error, self.root) from error
        finally:
            _remove(folder)

    def _kept(self, digest: str, folder: Path) -> Path:
        """Give a complete folder its digest as its name; somebody else may have been faster with the same."""
        folder.chmod(0o755)
        settle([folder])
        with self._sweeping:
            try:
                folder.rename(self.root / digest)
            except OSError as error:
                if error.errno not in _NOT_THE_FIRST:
                    raise
                os.utime(self.root / digest)
        settle([self.root])
        return self.path(digest)


class _Stream:
    """Chunks that arrive on an event loop, as a file that a thread reads."""

    def __init__(self, chunks: AsyncIterable[bytes], loop: asyncio.AbstractEventLoop) -> None:
        self._chunks = aiter(chunks)
        self._loop = loop
        self._lock = threading.Lock()
        self._next: Future[bytes] | None = None
        self._is_closed = False

    def read(self, _: int = -1) -> bytes:
        """The next chunk, of whatever size; empty at the end.

        Raises:
            ConnectionAbortedError: whoever waits for the reader has given it up.
            BadTar: nothing came for too long.
        """
        with self._lock:
            if self._is_closed:
                raise ConnectionAbortedError("nobody waits for the content any more")
            self._next = asyncio.run_coroutine_threadsafe(self._arrival(), self._loop)
        try:
            return self._next.result()
        except CancelledError:
            raise ConnectionAbortedError("nobody waits for the content any more") from None

    def close(self) -> None:
        """Let a reader that still waits end; called on the loop."""
        with self._lock:
            self._is_closed = True
            if self._next is not None:
                self._next.cancel()

    async def _arrival(self) -> bytes:
        try:
            async with asyncio.timeout(_SILENCE_S):
                async for chunk in self._chunks:
                    if chunk:
                        return chunk
        except TimeoutError as error:
            raise BadTar(f"nothing of the content came for {_SILENCE_S:g} s; send it again") from error
        return b""


def _copy(content: Content, folder: Path) -> None:
    """Write what was looked at before below an empty folder, and onto the disk.

    Raises:
        ContentError: it has changed since.
    """
    for entry in content.entries:
        name, is_folder, is_executable, sha256 = entry.fingerprint
        if is_folder:
            (folder / name).mkdir(mode=0o755)
        elif write_file(folder / name, chunks_of(entry), is_executable=is_executable) != sha256:
            raise ContentError(f"{entry.source} changed while it was being copied; try again once it is complete")
    settle(folder / entry.fingerprint.name for entry in content.entries if entry.fingerprint.is_folder)


def _remove(folder: Path) -> None:
    """Remove what is left of a copy, if it is there; what stays is tried again at the next start."""
    try:
        remove(folder)
    except FileNotFoundError:
        pass  # it was complete, and has its name
    except OSError as error:
        log.warning("content.not_removed", path=str(folder), reason=str(error))


def _not_written(error: OSError, root: Path) -> NotWritten:
    reason = error.strerror or str(error)
    if error.errno in _NO_ROOM:
        return StorageFull(f"there is no room for it in {root}: {reason}; make room there, or choose another state_dir")
    return NotWritten(f"it cannot be kept in {root}: {reason}")


def _invalid(message: str) -> Invalid:
    return Invalid([Problem(path=None, line=None, field="", message=message)])

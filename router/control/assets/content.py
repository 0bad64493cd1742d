"""A file or folder by what is in it: the digest that names its copy, and the tar stream that carries it.

Rules
- The digest is the SHA-256 over the text `teal content 1` and, for each file and folder in the order of the bytes of
  their names, over its kind (`file` or `folder`), its executable bit (`x` or nothing), the SHA-256 of its bytes in
  hexadecimal (nothing for a folder) and its name, each followed by a NUL. A name begins with that of what is on top.
- Links are followed wherever they lead: the copy has what they point to. A link to nowhere, a folder that contains
  itself through a link, and what is neither file nor folder are refused by name.
- What says that it has another size than it has is no ordinary file, or is being written, and is refused: reading it
  might never end. So is what lies in /proc and /sys.
- `.amlignore` in the folder on top, else `.gitignore`, says what stays behind, as at Azure. `__pycache__` always does,
  and so does a state directory of teal: it has keys, and the copies themselves.
- A folder that is left with nothing to copy stays behind too; one that was empty to begin with goes along.
"""

import errno
import functools
import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple, Self

MAX_ENTRIES = 100_000
MAX_DEPTH = 100
#: Bytes that are in memory at a time.
CHUNK_BYTES = 2**20
#: Of a file that is read as a whole.
MAX_TEXT_BYTES = 16 * 2**20

_IGNORE_FILES = (".amlignore", ".gitignore")
_LEFT_BEHIND = "__pycache__"
_STATE_FILES = frozenset({"state.db", "lock"})
_HINT = "to leave it behind, name it in .amlignore"


class ContentError(Exception):
    """It cannot be copied; the message is one sentence that names the path, and can be printed whatever its name is."""

    def __init__(self, message: str) -> None:
        super().__init__(message.encode(errors="backslashreplace").decode())


class Fingerprint(NamedTuple):
    """What of a file or folder counts for the digest. `name` begins with that of the file or folder on top."""

    name: str
    is_folder: bool
    is_executable: bool
    sha256: str


class Entry(NamedTuple):
    """A file or folder, and where its bytes are."""

    fingerprint: Fingerprint
    source: Path
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A file or folder as it was when it was read; the bytes stay where they are."""

    name: str
    digest: str
    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, path: Path) -> Self:
        """What is at `path`, which is read to the end.

        Raises:
            ContentError: it is not there, or has what cannot be read or copied.
        """
        path = path.absolute() if path.name not in {"", ".."} else path.resolve()
        is_left_out = _ignored(path) if _is_folder(path) else _nothing_ignored
        found = list(_Walk(path, is_left_out).found())
        if all(_is_folder(source) for _, source in found):
            raise ContentError(f"{path} has no files, or none that its .amlignore or .gitignore lets through")
        return cls.made_of(path.name, found)

    @classmethod
    def made_of(cls, name: str, sources: Iterable[tuple[str, Path]]) -> Self:
        """A file or folder called `name` of single files and folders, each with its own name; they are read to the end.

        Raises:
            ContentError: one of them cannot be read or copied.
        """
        if not name or not _is_text(name):
            raise ContentError(f"{name!r} cannot be copied: its name is not UTF-8 text")
        entries = sorted((_entry(inner, source) for inner, source in sources), key=_by_name)
        return cls(name=name, digest=tree_digest(entry.fingerprint for entry in entries), entries=tuple(entries))

    @property
    def files(self) -> tuple[Entry, ...]:
        """The entries that are files."""
        return tuple(entry for entry in self.entries if not entry.fingerprint.is_folder)

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(entry.size for entry in self.entries)


def tree_digest(fingerprints: Iterable[Fingerprint]) -> str:
    """The digest of all that a copy has, in 64 hexadecimal digits."""
    total = hashlib.sha256(b"teal content 1\0")
    for name, is_folder, is_executable, sha256 in sorted(fingerprints, key=lambda one: os.fsencode(one.name)):
        kind, bit = "folder" if is_folder else "file", "x" if is_executable else ""
        total.update(f"{kind}\0{bit}\0{sha256}\0".encode() + os.fsencode(name) + b"\0")
    return total.hexdigest()


def write_tar(content: Content, fileobj: IO[bytes]) -> None:
    """Write the content as an uncompressed tar; equal contents give equal bytes.

    Raises:
        ContentError: a file has changed since it was read. That it kept its size is for the reader to find out, who
            has the digest.
    """
    for chunk in tar_chunks(content):
        fileobj.write(chunk)


def tar_chunks(content: Content) -> Iterator[bytes]:
    """The same tar, piece by piece."""
    for entry in content.entries:
        yield _header(entry)
        if not entry.fingerprint.is_folder:
            yield from chunks_of(entry)
            yield bytes(-entry.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def chunks_of(entry: Entry) -> Iterator[bytes]:
    """The bytes of a file.

    Raises:
        ContentError: it cannot be read any more, or has another size by now.
    """
    with _opened(entry.source) as file:
        yield from _read(file, entry.source, entry.size)


def text_of(path: Path) -> str:
    """The text of a file in UTF-8, lines ending as on Unix.

    Raises:
        ContentError: it is not there, cannot be read, is too large, or is no text.
    """
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_TEXT_BYTES:
            raise ContentError(f"{path} has {size} bytes; expected a text of at most {MAX_TEXT_BYTES}")
        data = b"".join(_read(file, path, size))
    try:
        return io.StringIO(data.decode("utf-8-sig"), newline=None).read()
    except UnicodeDecodeError as error:
        raise ContentError(f"{path} is not UTF-8 text") from error


class _Walk:
    """Finds all that a folder has; what is ignored is not looked at."""

    def __init__(self, top: Path, is_left_out: Callable[[str], bool]) -> None:
        self._top = top
        self._is_left_out = is_left_out
        self._count = 0

    def found(self) -> Iterator[tuple[str, Path]]:
        """Every file and folder with its name in the copy, those of a folder after it."""
        if stat.S_ISDIR(_status(self._top).st_mode):
            yield from self._folder("", self._top, ())
        else:
            yield self._top.name, self._top

    def _folder(self, inner: str, folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[tuple[str, Path]]:
        """What is in a folder, it included; nothing if all that it has stays behind."""
        status = _status(folder)
        here = (status.st_dev, status.st_ino)
        if here in above:
            raise ContentError(f"{folder} is a link to a folder that it is in itself; {_HINT}")
        if len(above) >= MAX_DEPTH:
            raise ContentError(f"{folder} is nested more than {MAX_DEPTH} folders deep")
        names = _names(folder)
        if above and _STATE_FILES.issubset(names):
            return
        found = [pair for name in names for pair in self._child(inner, folder / name, (*above, here))]
        if found or not names:
            yield self._counted(inner), folder
        yield from found

    def _child(self, inner: str, path: Path, above: tuple[tuple[int, int], ...]) -> Iterator[tuple[str, Path]]:
        name = f"{inner}/{path.name}" if inner else path.name
        if path.name == _LEFT_BEHIND:
            return
        # A link to nowhere that is ignored is no reason to refuse.
        is_folder = _is_folder(path)
        if self._is_left_out(f"{name}/" if is_folder else name):
            return
        if is_folder:
            yield from self._folder(name, path, above)
        else:
            yield self._counted(name), path

    def _counted(self, inner: str) -> str:
        self._count += 1
        if self._count > MAX_ENTRIES:
            raise ContentError(f"{self._top} has more than {MAX_ENTRIES} files and folders; is it the right one?")
        return f"{self._top.name}/{inner}" if inner else self._top.name


def _ignored(folder: Path) -> Callable[[str], bool]:
    """Whether the folder's ignore file says that a path below it stays behind; that of a folder ends with a slash."""
    file = next((folder / name for name in _IGNORE_FILES if name in _names(folder)), None)
    if file is None:
        return _nothing_ignored
    import pathspec  # noqa: PLC0415  # for few folders only, and the command line is started often

    try:
        spec = pathspec.PathSpec.from_lines("gitignore", text_of(file).splitlines())
    except ValueError as error:
        raise ContentError(f"{file} cannot be read: {error}") from error
    if any(pattern.include is False for pattern in spec.patterns):
        # What is in an ignored folder may be named again, so every file decides for itself.
        return lambda name: not name.endswith("/") and spec.match_file(name)
    return spec.match_file


def _nothing_ignored(_: str) -> bool:
    return False


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError:
        return False  # whoever needs it says why it cannot be had


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208  # names are what is wanted
    except OSError as error:
        raise ContentError(f"{folder} cannot be read: {error.strerror}") from error


def _entry(name: str, source: Path) -> Entry:
    if stat.S_ISDIR(_status(source).st_mode):
        return Entry(Fingerprint(name, is_folder=True, is_executable=False, sha256=""), source, size=0)
    with _opened(source) as file:
        status = os.fstat(file.fileno())
        total = hashlib.sha256()
        for chunk in _read(file, source, status.st_size):
            total.update(chunk)
    is_executable = bool(status.st_mode & stat.S_IXUSR)
    fingerprint = Fingerprint(name, is_folder=False, is_executable=is_executable, sha256=total.hexdigest())
    return Entry(fingerprint, source, status.st_size)


def _status(path: Path) -> os.stat_result:
    """Of what is at the end of all links."""
    try:
        status = path.stat()
    except OSError as error:
        try:
            target = path.readlink()
        except OSError:  # it is no link
            raise ContentError(f"{path}: {error.strerror}") from error
        reason = f"is a link to {target}, which cannot be followed ({error.strerror})"
        raise ContentError(f"{path} {reason}; {_HINT}") from error
    place = _made_up().get(status.st_dev)
    if place is not None:
        raise ContentError(f"{path} is in {place}, which has no files that can be copied; {_HINT}")
    return status


@functools.cache
def _made_up() -> Mapping[int, str]:
    """Places where the kernel makes up what is read, and a read may wait for ever or take away, by their device."""
    return {os.stat(place).st_dev: place for place in ("/proc", "/sys") if os.path.ismount(place)}  # noqa: PTH116


def _opened(path: Path) -> io.FileIO:
    mode = _status(path).st_mode
    if stat.S_ISDIR(mode):
        raise ContentError(f"{path} cannot be read: {os.strerror(errno.EISDIR)}")
    if not stat.S_ISREG(mode):
        raise ContentError(f"{path} is {_kind(mode)}; only files and folders can be copied; {_HINT}")
    try:
        # What may have come into the place of the file since then is not waited for.
        return io.FileIO(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "r")
    except OSError as error:
        raise ContentError(f"{path} cannot be read: {error.strerror}") from error


def _read(file: io.FileIO, path: Path, size: int) -> Iterator[bytes]:
    """The bytes of a file, which are `size`; hardly more are read if there are more."""
    left = size
    while chunk := _chunk(file, path):
        left -= len(chunk)
        if left < 0:
            break
        yield chunk
    if left:
        reason = f"or has not the {size} bytes that it says it has"
        raise ContentError(f"{path} changed while it was being copied, {reason}; try again once it is complete")


def _chunk(file: io.FileIO, path: Path) -> bytes:
    try:
        chunk = file.read(CHUNK_BYTES)
    except OSError as error:
        raise ContentError(f"{path} cannot be read: {error.strerror}") from error
    if chunk is None:
        raise ContentError(f"{path} cannot be read without waiting for it; only files and folders can be copied")
    return chunk


def _kind(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "a named pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def _header(entry: Entry) -> bytes:
    name, is_folder, is_executable, _ = entry.fingerprint
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE if is_folder else tarfile.REGTYPE
    info.size = entry.size
    info.mode = 0o755 if is_folder or is_executable else 0o644
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _by_name(entry: Entry) -> bytes:
    return os.fsencode(entry.fingerprint.name)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True

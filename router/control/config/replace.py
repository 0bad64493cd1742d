"""A file's content replaced in one step, unless somebody else has changed it meanwhile.

Rules
- New content is complete and on the disk before it takes the file's name; whoever opens the file finds all of the old
  content or all of the new.
- Old and new change places, and what came out is looked at then. If it is not what was expected, or somebody has it
  open for writing, it goes back in: what another has written is never deleted.
- A symbolic link stays; the file that it leads to is replaced. A link that leads elsewhere in the end, as when
  Kubernetes turns `..data` to a new folder, is a change by somebody else.
- What fails has changed nothing and leaves no temporary file behind.
"""

import ctypes
import errno
import fcntl
import os
import secrets
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from router.control.config.source import MAX_SOURCE_BYTES

_AT_FDCWD = -100
_NOREPLACE = 1
_EXCHANGE = 2
_renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
_renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)

#: A file system, or a kernel, that does not know the flag of a renaming.
_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_ADVICE = {
    errno.ENOSPC: "the disk is full; make room on it and try again",
    errno.EDQUOT: "the disk quota is used up; make room and try again",
    errno.EFBIG: "it is larger than a file may be here; raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "{folder} is mounted read-only; mount it for writing, or add it to ReadWritePaths= of the service",
    errno.ENOENT: "the folder {folder} does not exist; make it",
    errno.EACCES: "no permission for the folder {folder}; let the user that teal runs as write in it",
    errno.EPERM: "no permission to replace files in {folder}; look at its sticky bit and its attributes (lsattr -d)",
    errno.EISDIR: "it is a folder; expected a file",
    errno.ENOTDIR: "{folder} is no folder",
}


class ContentChanged(Exception):
    """The file does not have the content that was expected; it is as somebody else has left it."""


class ReplaceError(Exception):
    """The file is as it was; the message is one sentence that says why, and what to do."""


def replace_content(path: Path, content: bytes, *, expected: bytes | None) -> None:
    """Give a file new content; it keeps its mode, and its owner if that is permitted.

    Where the file system cannot exchange two files, as NFS, a change in the instant between the last look at the file
    and its renaming goes unnoticed.

    Args:
        expected: What the file has; None if it must not exist.

    Raises:
        ContentChanged: it has something else, or is gone.
        ReplaceError: it cannot be written.
    """
    target = Path(os.path.realpath(path))
    with _explained(path, target):
        if _content(target) != expected:
            raise ContentChanged(str(path))
        spare = _write_beside(target, content)
        try:
            _place(spare, target, expected)
        except BaseException:
            spare.unlink()
            raise
        if spare.exists() and not (_is_left_behind(spare, expected) and Path(os.path.realpath(path)) == target):
            _give_back(spare, target, content)
            raise ContentChanged(str(path))
        spare.unlink(missing_ok=True)
        _sync_folder(target.parent)


@contextmanager
def _explained(path: Path, target: Path) -> Iterator[None]:
    """What the system refuses, in a sentence."""
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, f"{error.strerror or error}; see that it can be written")
        place = str(path) if path.absolute() == target else f"{path}, which leads to {target},"
        raise ReplaceError(f"{place} cannot be written: {advice.format(folder=target.parent)}") from error


def _content(path: Path) -> bytes | None:
    """What the file has, as far as it can be what is expected; None if it is not there."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_SOURCE_BYTES + 1)
    except FileNotFoundError:
        return None


def _write_beside(target: Path, content: bytes) -> Path:
    """A file with the content in the folder of the target, on the disk, with the target's mode and owner."""
    spare = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}.new")
    descriptor = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            with suppress(FileNotFoundError):
                _take_after(target.stat(), descriptor)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        spare.unlink()
        raise
    return spare


def _take_after(old: os.stat_result, descriptor: int) -> None:
    with suppress(PermissionError):  # only root gives files away
        os.fchown(descriptor, -1, old.st_gid)
        os.fchown(descriptor, old.st_uid, -1)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def _place(spare: Path, target: Path, expected: bytes | None) -> None:
    """Give the spare file the target's name; if there is one, the spare file's name then has the target."""
    try:
        _rename(spare, target, _NOREPLACE if expected is None else _EXCHANGE)
    except (FileExistsError, FileNotFoundError) as error:
        raise ContentChanged(str(target)) from error
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        _place_the_old_way(spare, target, expected)


def _place_the_old_way(spare: Path, target: Path, expected: bytes | None) -> None:
    if expected is None:
        try:
            os.link(spare, target)
        except FileExistsError as error:
            raise ContentChanged(str(target)) from error
        spare.unlink()
    elif _content(target) == expected:
        spare.rename(target)
    else:
        raise ContentChanged(str(target))


def _is_left_behind(spare: Path, known: bytes | None) -> bool:
    """Whether a file has nothing but what is known, and nobody is about to write to it."""
    descriptor = os.open(spare, os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        return not _has_writer(descriptor) and file.read() == known


def _has_writer(descriptor: int) -> bool:
    """Whether somebody has the file open for writing; False if this file system cannot tell."""
    try:
        # Somebody who opens it in this instant makes the kernel send a signal, by default one that kills.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    return False


def _give_back(spare: Path, target: Path, content: bytes) -> None:
    """Put back what came out, and go on with what is saved meanwhile, until what comes out is what was put in before.

    Args:
        content: What the target has.
    """
    put_in = content
    try:
        while spare.exists():
            going_in = spare.read_bytes()
            _exchange_or_move(spare, target)
            if spare.exists() and _is_left_behind(spare, put_in):
                spare.unlink()
            put_in = going_in
    except OSError as error:
        reason = f"{target} was changed by somebody else meanwhile, and what they wrote is in {spare}: {error.strerror}"
        raise ReplaceError(reason) from error


def _exchange_or_move(spare: Path, target: Path) -> None:
    try:
        _rename(spare, target, _EXCHANGE)
    except FileNotFoundError:  # the target was moved away
        with suppress(FileExistsError):
            _rename(spare, target, _NOREPLACE)


def _rename(source: Path, target: Path, flag: int) -> None:
    if _renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flag) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(source), None, str(target))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # the file has its content; some file systems cannot sync a folder
            os.fsync(descriptor)
    finally:
        os.close(descriptor)

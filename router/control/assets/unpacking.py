"""Unpacks a tar stream that anybody may have made, into a folder that nobody else has.

Rules
- Only folders and files, each below one folder or file on top, a folder before what is in it. Links, devices, sparse
  files, absolute names, `..` and names that come twice are refused.
- Files become read-only, so that a script does not alter by accident what other deployments run too.
"""

import errno
import hashlib
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Self

from router.control.assets.content import CHUNK_BYTES, MAX_DEPTH, MAX_ENTRIES, Fingerprint

#: A name, or a header that carries one.
_MAX_HEADER_BYTES = 2**16
#: Characters of a name in a message about its length.
_SHOWN = 100

_BAD_NAMES = {errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL}
_TAKEN = {tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE}
_LONG = {tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}
_PAX = {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE}


class BadTar(ValueError):
    """It is no tar, or has what is refused; the message is one sentence."""


def unpack(stream: IO[bytes], folder: Path) -> list[Fingerprint]:
    """Write what is in a tar stream below an empty folder, and onto the disk; return what that is.

    Raises:
        BadTar: nothing was written outside of `folder`; what is in it is incomplete.
        OSError: the disk does not take it.
    """
    found: dict[str, Fingerprint] = {}
    try:
        with tarfile.open(
            fileobj=stream, mode="r|", bufsize=CHUNK_BYTES, tarinfo=_Member, encoding="utf-8", errors="surrogateescape"
        ) as tar:
            for member in _members(tar):
                _check(member, found)
                found[member.name] = _unpacked(tar, member, folder)
    except BadTar:
        raise
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:  # what its parser raises
        raise BadTar(f"the content is no tar stream, or only a part of one: {error}") from error
    if not found:
        raise BadTar("the content is an empty tar")
    settle(folder / name for name, fingerprint in found.items() if fingerprint.is_folder)
    return list(found.values())


def write_file(path: Path, chunks: Iterable[bytes], *, is_executable: bool) -> str:
    """Write a new read-only file, onto the disk; return its SHA-256."""
    total = hashlib.sha256()
    with path.open("xb", buffering=0) as file:
        for chunk in chunks:
            total.update(chunk)
            _write(file, chunk)
        os.fchmod(file.fileno(), 0o555 if is_executable else 0o444)
        os.fsync(file.fileno())
    return total.hexdigest()


def settle(folders: Iterable[Path]) -> None:
    """Have the names in folders on the disk."""
    for folder in folders:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


class _Member(tarfile.TarInfo):
    """A member of a kind that is taken, whose headers fit into memory.

    tarfile reads a long name as a whole, however long it claims to be, and looks for the end of a map of holes for
    ever.
    """

    def _proc_member(self, tar: tarfile.TarFile) -> Self:
        if self.type not in _TAKEN | _LONG | _PAX:
            raise _of_another_kind(self.name)
        if self.type in _LONG | _PAX and self.size > _MAX_HEADER_BYTES:
            raise BadTar(f"the content has a header of {self.size} bytes, expected at most {_MAX_HEADER_BYTES}")
        return super()._proc_member(tar)  # type: ignore[misc, no-any-return]  # meant to be overridden, and not in the stubs

    def _proc_gnusparse_10(self, *_: object) -> None:
        raise _of_another_kind(self.name)


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while (member := tar.next()) is not None:
        tar.members.clear()  # type: ignore[attr-defined]  # it would keep them all; not in the stubs
        yield member


def _check(member: tarfile.TarInfo, found: dict[str, Fingerprint]) -> None:
    """Whether a member may be written, where it says it belongs.

    Raises:
        BadTar: it may not.
    """
    name = member.name
    if len(found) >= MAX_ENTRIES:
        raise BadTar(f"the content has more than {MAX_ENTRIES} files and folders")
    if member.sparse is not None:
        raise _of_another_kind(name)
    steps = name.split("/")
    if "\0" in name or any(step in {"", ".", ".."} for step in steps):
        raise BadTar(f"{name!r} is no name that can be taken; expected one such as src/score.py")
    if member.isdir() and len(steps) > MAX_DEPTH:
        raise BadTar(f"{name[:_SHOWN]!r} is nested more than {MAX_DEPTH} folders deep")
    parent, _, _ = name.rpartition("/")
    if name in found:
        raise BadTar(f"{name!r} comes twice")
    if parent and (parent not in found or not found[parent].is_folder):
        raise BadTar(f"{name!r} comes without its folder; expected the folder before what is in it")
    if not parent and found:
        raise BadTar(f"{name!r} comes beside {next(iter(found))!r}; expected one file or folder on top")
    if not parent and not _is_text(name):
        raise BadTar(f"{name!r} is not UTF-8 text")


def _of_another_kind(name: str) -> BadTar:
    return BadTar(f"{name!r} is neither a file nor a folder; links, devices and files with holes are not taken")


def _unpacked(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> Fingerprint:
    path = folder / member.name
    try:
        if member.isdir():
            path.mkdir(mode=0o755)
            return Fingerprint(member.name, is_folder=True, is_executable=False, sha256="")
        is_executable = bool(member.mode & stat.S_IXUSR)
        sha256 = write_file(path, _chunks(tar, member), is_executable=is_executable)
    except OSError as error:
        if error.errno in _BAD_NAMES:
            raise BadTar(
                f"{member.name[:_SHOWN]!r}... is no name that this machine can have: {error.strerror}"
            ) from error
        raise
    return Fingerprint(member.name, is_folder=False, is_executable=is_executable, sha256=sha256)


def _chunks(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    file = tar.extractfile(member)
    while file is not None and (chunk := file.read(CHUNK_BYTES)):
        yield chunk


def _write(file: IO[bytes], chunk: bytes) -> None:
    left = memoryview(chunk)
    while left:
        left = left[file.write(left) :]


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True

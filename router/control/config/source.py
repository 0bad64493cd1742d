"""The text of a file that people write: of a bounded size, so that parsing takes neither long nor much, and UTF-8."""

import codecs
import errno
import os
import stat
from pathlib import Path
from typing import IO, Final

#: Of a config, a definition, or a file that describes an environment. A config of 2,000 deployments has less than 1 MB;
#: parsing takes about a second and 25 bytes of memory for each of the file's.
MAX_SOURCE_BYTES: Final = 4 * 2**20

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class NotUtf8Error(ValueError):
    """Bytes that are no UTF-8; the message is for a person, `line` where they are."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def read_source(file: Path | int) -> bytes:
    """The bytes of a file, or of an open descriptor, which stays open.

    Raises:
        OSError: It cannot be read, or is too large, which `strerror` says like any other reason.
    """
    with open(file, "rb", closefd=not isinstance(file, int)) as opened:
        return read_opened(opened)


def read_opened(file: IO[bytes]) -> bytes:
    """The rest of an open file.

    Raises:
        OSError: As for `read_source`.
    """
    status = os.fstat(file.fileno())
    if stat.S_ISREG(status.st_mode) and status.st_size > MAX_SOURCE_BYTES:
        raise OSError(errno.EFBIG, too_large(status.st_size))
    content = file.read(MAX_SOURCE_BYTES + 1)
    if len(content) > MAX_SOURCE_BYTES:  # a pipe, or a file that grows
        raise OSError(errno.EFBIG, too_large(None))
    return content


def too_large(size: int | None) -> str:
    """Why a file is refused that has so many bytes; None if nobody knows how many."""
    has = f"more than {MAX_SOURCE_BYTES:,}" if size is None else f"{size:,}"
    return f"it has {has} bytes, and at most {MAX_SOURCE_BYTES:,} (4 MiB) are read; see that it is the file you mean"


def text_of(content: bytes) -> str:
    """The text less its byte order mark.

    Raises:
        NotUtf8Error: It is something else.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = "it is UTF-16" if content.startswith(_UTF16) else f"byte 0x{content[error.start]:02x}"
        raise NotUtf8Error(line, f"not UTF-8: {found}; save the file as UTF-8") from error

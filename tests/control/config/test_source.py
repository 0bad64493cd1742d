"""Files that people write are read up to a bound, whatever they are."""

import os
from pathlib import Path

import pytest

from router.control.config.source import MAX_SOURCE_BYTES, NotUtf8Error, read_source, text_of

BOUND = "at most 4,194,304 (4 MiB) are read; see that it is the file you mean"


def test_a_file_as_large_as_may_be_is_read(tmp_path: Path) -> None:
    """To its last byte."""
    file = tmp_path / "teal.yaml"
    file.write_bytes(b"#" * MAX_SOURCE_BYTES)
    assert len(read_source(file)) == 4_194_304


def test_a_file_that_is_larger_is_refused_by_its_size(tmp_path: Path) -> None:
    """Without being read: this one would not fit into memory."""
    file = tmp_path / "teal.yaml"
    file.touch()
    os.truncate(file, 10**12)
    with pytest.raises(OSError, match="1,000,000,000,000 bytes") as refused:
        read_source(file)
    assert refused.value.strerror == f"it has 1,000,000,000,000 bytes, and {BOUND}"


def test_what_has_no_size_is_read_up_to_the_bound() -> None:
    """As a pipe, or a device that never ends."""
    with pytest.raises(OSError, match="more than") as refused:
        read_source(Path("/dev/zero"))
    assert refused.value.strerror == f"it has more than 4,194,304 bytes, and {BOUND}"


def test_an_open_descriptor_stays_open() -> None:
    """Standard input is not ours to close."""
    reading, writing = os.pipe()
    os.write(writing, b"a: 1\n")
    os.close(writing)
    assert read_source(reading) == b"a: 1\n"
    os.close(reading)


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"a: 1\nb: caf\xe9\n", 2, "not UTF-8: byte 0xe9; save the file as UTF-8"),
        ("a: 1".encode("utf-16"), 1, "not UTF-8: it is UTF-16; save the file as UTF-8"),
    ],
)
def test_what_is_not_utf8_is_refused_with_its_line(content: bytes, line: int, message: str) -> None:
    """A byte that cannot be, or the mark of another encoding."""
    with pytest.raises(NotUtf8Error) as refused:
        text_of(content)
    assert (refused.value.line, str(refused.value)) == (line, message)

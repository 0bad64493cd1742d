"""Copies of local files and folders go to the daemon, which may not read them where they are."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from router.cli.client import Daemon
from router.cli.notes import Notes, Transfer
from router.control.assets.content import CHUNK_BYTES, tar_chunks
from router.control.assets.recipe_files import content_for


def upload(daemon: Daemon, notes: Notes, field: str, path: Path) -> str:
    """Give the daemon a copy of what a definition's field names, unless it has one; return its digest.

    Raises:
        ContentError: there is nothing at `path`, or it cannot be read, or names what is not there.
        Refused: the daemon does not take it.
    """
    content = content_for(field, path)
    if not daemon.has_content(content.digest):
        transfer = Transfer(notes, str(path), content.size)
        try:
            daemon.put_content(content.digest, _counted(_in_blocks(tar_chunks(content)), transfer))
        except BaseException:
            transfer.break_off()
            raise
        transfer.end()
    return content.digest


def _in_blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces that are worth a system call: a folder of small files has many small chunks."""
    block = bytearray()
    for chunk in chunks:
        block += chunk
        if len(block) >= CHUNK_BYTES:
            yield bytes(block)
            block.clear()
    yield bytes(block)


def _counted(blocks: Iterable[bytes], transfer: Transfer) -> Iterator[bytes]:
    for block in blocks:
        yield block
        transfer.add(len(block))

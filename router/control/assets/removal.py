"""Removes folders that anybody may have filled, however deep."""

import os
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(folder: Path) -> None:
    """Remove a folder and all that is in it; links are removed, not followed.

    Not `shutil.rmtree`: it calls itself for every folder inside another, and Python has an end of that.

    Raises:
        OSError: something cannot be removed, and a part is left.
    """
    # Paths from the top on: an absolute one may have become too long when the folder was renamed.
    top = os.open(folder, _FOLDER)
    try:
        for inner in reversed(_emptied(top)):
            os.rmdir(inner, dir_fd=top)
    finally:
        os.close(top)
    folder.rmdir()


def _emptied(top: int) -> list[str]:
    """The folders below `top`, each after the one that it is in, once their files are gone."""
    found = ["."]
    for inner in found:
        fd = os.open(inner, _FOLDER, dir_fd=top)
        try:
            found += [f"{inner}/{name}" for name in _folders_left(fd)]
        finally:
            os.close(fd)
    return found[1:]


def _folders_left(fd: int) -> list[str]:
    """The names of the folders in a folder, once all else in it is gone."""
    with os.scandir(fd) as scanned:
        entries = list(scanned)
    folders = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    for entry in entries:
        if not entry.is_dir(follow_symlinks=False):
            os.unlink(entry.name, dir_fd=fd)
    return folders

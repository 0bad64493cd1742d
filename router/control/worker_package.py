"""A folder from which `workers`, and nothing else of teal's, can be imported."""

import hashlib
import importlib.util
import shutil
import tempfile
from pathlib import Path

PACKAGE = "workers"


def publish_worker_package(root: Path) -> Path:
    """Copy the installed `workers` below `root`, unless it is there; return the folder for `PYTHONPATH`.

    The folder is named after the content, so that running workers keep theirs while teal is upgraded.
    """
    sources = _sources()
    target = root / _digest(sources)
    if target.is_dir():
        return target
    root.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=root))
    try:
        for name, content in sources.items():
            file = building / PACKAGE / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        _put(building, target)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target


def _sources() -> dict[str, bytes]:
    """Relative path and content of each module."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"teal is not installed whole: there is no package {PACKAGE!r}", name=PACKAGE)
    folder = Path(spec.submodule_search_locations[0])
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*.py"))}


def _digest(sources: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, content in sources.items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def _put(building: Path, target: Path) -> None:
    """Rename into place; another process that was quicker put the same content there."""
    try:
        building.rename(target)
    except OSError:
        if not target.is_dir():
            raise

"""The folder from which a user's interpreter imports `workers`."""

import subprocess
import sys
from pathlib import Path

import workers
from router.control.worker_package import publish_worker_package


def test_nothing_but_workers_is_importable_from_it(tmp_path: Path) -> None:
    """The folder holds `workers` alone."""
    assert [entry.name for entry in publish_worker_package(tmp_path / "runtime").iterdir()] == ["workers"]


def test_every_module_is_in_the_copy(tmp_path: Path) -> None:
    """The copy has the modules of the installed package, and nothing else."""
    source = Path(workers.__path__[0])
    copy = publish_worker_package(tmp_path) / "workers"
    names = sorted(str(file.relative_to(copy)) for file in copy.rglob("*") if file.is_file())
    assert names == sorted(str(file.relative_to(source)) for file in source.rglob("*.py"))


def test_a_second_copy_is_not_made(tmp_path: Path) -> None:
    """The same content is published once."""
    first = publish_worker_package(tmp_path)
    inode = first.stat().st_ino
    assert publish_worker_package(tmp_path).stat().st_ino == inode
    assert list(tmp_path.iterdir()) == [first]


def test_interpreter_imports_workers_from_the_copy(tmp_path: Path) -> None:
    """With the folder as `PYTHONPATH`, `workers` is the copy, and `router` does not come along."""
    folder = publish_worker_package(tmp_path)
    code = "import workers, importlib.util; print(workers.__path__[0], importlib.util.find_spec('router'))"
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(folder)}, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(folder / "workers"), "None"]

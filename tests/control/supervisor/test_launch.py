"""What a worker finds when it starts: its model, its variables, a place for its output."""

import os
from pathlib import Path

import pytest

from tests.control.supervisor.bench import Bench

PRINTS_BOTH = "import sys\ndef init():\n    print('out', flush=True)\n    print('err', file=sys.stderr)\n"
READS_MODEL = """
import os, pathlib

def init():
    print(pathlib.Path(os.environ["AZUREML_MODEL_DIR"], os.environ["WANTED"]).read_text(), flush=True)
"""
PRINTS_VARIABLES = """
import os

def init():
    print([os.environ.get(name) for name in ("WATCHDOG_USEC", "LISTEN_FDS", "GREETING")], os.listdir(), flush=True)
"""


def descriptor_kinds(pid: int) -> list[str]:
    """What a process has open: paths, or the kinds of what has none."""
    return sorted(str(path.readlink()).partition(":")[0] for path in Path(f"/proc/{pid}/fd").iterdir())


async def printed(bench: Bench, text: str) -> None:
    """Wait until the first instance has printed the text."""
    await bench.until(lambda: any(text in line for line in bench.log()))


async def test_output_is_kept_by_instance_with_its_time(bench: Bench) -> None:
    """stdout and stderr land in the instance's file, in order, each line with its UTC time."""
    await bench.serving(PRINTS_BOTH)
    await printed(bench, "err")
    out, err = bench.log()
    assert (out.partition("Z ")[2], err.partition("Z ")[2]) == ("out", "err")


async def test_model_file_lies_directly_in_the_model_folder(bench: Bench) -> None:
    """A file keeps its name in AZUREML_MODEL_DIR."""
    model = bench.root / "model.pkl"
    model.write_text("weights of the file")
    await bench.serving(READS_MODEL, model_path=model, environment_variables={"WANTED": "model.pkl"})
    await printed(bench, "weights of the file")


async def test_model_folder_appears_under_its_own_name(bench: Bench) -> None:
    """A folder is AZUREML_MODEL_DIR/<folder name>/."""
    model = bench.root / "forest"
    model.mkdir()
    (model / "tree").write_text("weights of the tree")
    await bench.serving(READS_MODEL, model_path=model, environment_variables={"WANTED": "forest/tree"})
    await printed(bench, "weights of the tree")


async def test_worker_gets_its_own_variables_and_none_of_ours(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd's protocol is between systemd and us; the deployment's variables arrive; only `workers` lies there."""
    monkeypatch.setenv("WATCHDOG_USEC", "1")
    monkeypatch.setenv("LISTEN_FDS", "3")
    await bench.serving(PRINTS_VARIABLES, environment_variables={"GREETING": "hello"})
    await printed(bench, "[None, None, 'hello'] ['workers']")


async def test_worker_holds_no_descriptor_of_ours(bench: Bench) -> None:
    """Standard streams, its listening socket, its notifications, and nothing else."""
    await bench.serving()
    assert descriptor_kinds(bench.pid()) == ["/dev/null", "pipe", "pipe", "socket", "socket"]


async def test_worker_leads_a_session_of_its_own(bench: Bench) -> None:
    """Ctrl-C in our terminal does not reach it."""
    await bench.serving()
    assert os.getsid(bench.pid()) == bench.pid()

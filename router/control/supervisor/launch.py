"""How a worker is started: its command line, its environment and the folder in which it finds its model."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from router.control.environments import Interpreter
from router.control.supervisor.process import Command, clean_environment
from router.control.supervisor.spec import WorkerSpec

MODEL_FOLDER = "model"


def worker_command(spec: WorkerSpec, interpreter: Interpreter, folder: Path, environment: Mapping[str, str]) -> Command:
    """The command for one worker.

    Args:
        folder: The worker's own; its model is found below it.
        environment: What this process runs in.
    """
    arguments = [str(interpreter.python), "-m", "workers"]
    arguments += ["--script", str(spec.script), "--code-dir", str(spec.code_dir)]
    if spec.model_path is not None:
        arguments += ["--model-dir", str(folder / MODEL_FOLDER)]
    if spec.warmup_request is not None:
        arguments += ["--warmup-request", str(spec.warmup_request), "--warmup-content-type", spec.warmup_content_type]
    arguments += ["--concurrency", str(spec.concurrency), "--drain-timeout", f"{spec.drain_timeout_s:g}"]
    arguments += ["--watch-parent", str(os.getpid())]
    variables = {**clean_environment(environment), **spec.environment_variables}
    python_path = [str(interpreter.python_path), spec.environment_variables.get("PYTHONPATH", "")]
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, python_path))
    # Not the code folder, to which the worker goes by itself: `-m` would look for `workers` there first.
    return Command(arguments=tuple(arguments), cwd=interpreter.python_path, variables=variables)


def lay_out_model(spec: WorkerSpec, folder: Path) -> None:
    """Put the model where the worker looks for it: a file or folder keeps its own name inside of the model's folder.

    It is linked, not copied: models are large.
    """
    place = folder / MODEL_FOLDER
    shutil.rmtree(place, ignore_errors=True)  # does not follow links
    if spec.model_path is not None:
        place.mkdir(parents=True)
        (place / spec.model_path.name).symlink_to(spec.model_path.absolute())

"""The scoring script: its import, its init(), and its run() as a function from request to answer."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any, Awaitable, Callable, Optional

from workers import encode, finder
from workers.contract import Contract, ContractError, InputError, Run
from workers.encode import Answer
from workers.messages import describe, show_traceback
from workers.request import ScoreRequest


class ScriptError(Exception):
    """The script cannot serve; the message fits one line, `__cause__` is what it raised."""


def check_syntax(path: Path) -> None:
    """Parse a script without running it.

    Raises:
        ScriptError: it cannot be read or is no Python, with the line.
    """
    try:
        ast.parse(path.read_bytes(), filename=str(path))
    except SyntaxError as error:
        raise ScriptError(f"{path}:{error.lineno}: {describe_syntax(error)}") from None
    except (OSError, ValueError) as error:
        raise ScriptError(f"{path}: {describe(error)}") from None


def describe_syntax(error: SyntaxError) -> str:
    """Name a syntax error without the place, which is said before it."""
    return f"{type(error).__name__}: {error.msg}"


class Script:
    """An imported scoring script; `init` first, then `answer`, or `answer_async` if run() is a coroutine function."""

    def __init__(self, module: ModuleType) -> None:
        """Read what `module` offers.

        Raises:
            ScriptError: init() or run() is missing, or run() cannot be called.
        """
        name = Path(module.__file__ or "").name
        self._init: Callable[[], Any] = _function(module, "init", name)
        self.run: Run = _function(module, "run", name)
        self.is_async = _is_async(self.run)
        try:
            self._contract = Contract(self.run)
            self.methods = self._contract.methods
        except (ContractError, TypeError, ValueError) as error:
            raise ScriptError(f"{name}: {error}") from error

    def init(self, wait: Callable[[Awaitable[Any]], Any]) -> None:
        """Call init(); `wait` finishes what an `async def init` returns.

        Raises:
            ScriptError: init() raised.
        """
        try:
            outcome = self._init()
            if inspect.isawaitable(outcome):
                wait(outcome)
        except BaseException as error:  # SystemExit as well: the script ends no worker without a word
            raise ScriptError(f"init() raised {describe(error)}") from error

    def answer(self, request: ScoreRequest) -> Answer:
        """Call run() with a request; whatever it raises is logged and answered."""
        try:
            arguments = self._contract.arguments(request)
            began = time.perf_counter()
            result = self.run(**arguments)
            return encode.encode_result(result, _ms_since(began))
        except BaseException as error:  # noqa: BLE001 - the edge between the script and the worker
            return _answer_failure(error)

    async def answer_async(self, request: ScoreRequest) -> Answer:
        """Await run() with a request; whatever it raises is logged and answered."""
        try:
            arguments = self._contract.arguments(request)
            began = time.perf_counter()
            result = await self.run(**arguments)
            return encode.encode_result(result, _ms_since(began))
        # CancelledError as well: the worker never cancels a run(), so it is the script's own.
        except BaseException as error:  # noqa: BLE001 - the edge between the script and the worker
            return _answer_failure(error)


def load_script(path: Path) -> Script:
    """Import the script under its own name, so that what it pickles finds its classes again.

    Raises:
        ScriptError: it is missing, is no Python, raised, or lacks init() or run().
    """
    finder.install()
    name = path.stem if path.stem not in sys.modules else "entry_module"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ScriptError(f"no scoring script at {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise ScriptError(f"{error.filename}:{error.lineno}: {describe_syntax(error)}") from error
    except BaseException as error:  # SystemExit as well
        raise ScriptError(f"{path.name} raised {describe(error)}") from error
    return Script(module)


def _function(module: ModuleType, name: str, script: str) -> Callable[..., Any]:
    function: Optional[Callable[..., Any]] = getattr(module, name, None)
    if not callable(function):
        raise ScriptError(f"{script} has no function {name}()")
    return function


def _is_async(run: Run) -> bool:
    return inspect.iscoroutinefunction(run) or inspect.iscoroutinefunction(inspect.unwrap(run))


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1000


def _answer_failure(error: BaseException) -> Answer:
    if isinstance(error, InputError):
        return encode.refusal(400, str(error))
    show_traceback(error)
    return encode.script_failure()

"""How a script's run() takes its input, read from its signature and decorators once."""

from __future__ import annotations

import inspect
import json
import sys
from typing import Any, Callable, Dict, List, Mapping, Tuple

from workers import aml
from workers.fields import Fields, query_pairs
from workers.request import ScoreRequest

Run = Callable[..., Any]
Input = Callable[[ScoreRequest], Dict[str, Any]]

REQUEST_HEADERS = "request_headers"
NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class InputError(Exception):
    """The request does not fit run(), a 400; the message is for the client."""


class ContractError(Exception):
    """run() cannot be called with any request."""


class Contract:
    """Turns requests into the keyword arguments of one run().

    Attributes:
        methods: The HTTP methods with which run() is called.
    """

    def __init__(self, run: Run) -> None:
        """Read what `run` wants.

        Raises:
            ContractError: its parameters cannot be filled.
        """
        parameters = list(inspect.signature(run).parameters.values())
        if any(parameter.kind not in NAMED for parameter in parameters):
            raise ContractError("run() cannot have positional-only parameters, *args or **kwargs")
        self._wants_headers = any(parameter.name == REQUEST_HEADERS for parameter in parameters)
        inputs = [parameter for parameter in parameters if parameter.name != REQUEST_HEADERS]
        if not inputs:
            raise ContractError("run() needs a parameter for the input")
        self._input = _choose_input(run, inputs)

        # A script that takes requests whole answers the preflight ones itself.
        self.methods = frozenset(("GET", "POST", "OPTIONS") if aml.is_raw_requested() else ("GET", "POST"))

    def arguments(self, request: ScoreRequest) -> Dict[str, Any]:
        """Return what to call run() with.

        Raises:
            InputError: the encoding, the JSON or a value is not what run() takes.
        """
        arguments = self._input(request)
        if self._wants_headers:
            arguments[REQUEST_HEADERS] = title_cased(request.headers)
        return arguments


def title_cased(headers: Mapping[str, str]) -> Dict[str, str]:
    """Return headers under the names that WSGI servers give them; repeated ones are joined by a comma."""
    result: Dict[str, str] = {}
    for name, value in headers.items():
        title = name.title()
        result[title] = f"{result[title]},{value}" if title in result else value
    return result


def is_schema_decorated(run: Run) -> bool:
    """Return whether `inference_schema` decorates run()."""
    # Not imported here: a script that does not use it must not pay for its pandas.
    schema_util = sys.modules.get("inference_schema.schema_util")
    return schema_util is not None and bool(schema_util.is_schema_decorated(run))


def _choose_input(run: Run, inputs: List[inspect.Parameter]) -> Input:
    if is_schema_decorated(run):
        if aml.is_raw_requested():
            raise ContractError("run() cannot have both @rawhttp and @input_schema")
        return _ObjectInput(inputs)
    for parameter in inputs[1:]:
        if parameter.default is inspect.Parameter.empty:
            raise ContractError(f"nothing gives run() a value for its parameter {parameter.name!r}")
    return _raw_input(inputs[0].name) if aml.is_raw_requested() else _text_input(inputs[0].name)


def _raw_input(name: str) -> Input:
    return lambda request: {name: aml.AMLRequest(request)}


def _text_input(name: str) -> Input:
    def text(request: ScoreRequest) -> Dict[str, Any]:
        if request.method == "POST":
            return {name: _decode(request.body)}
        return {name: json.dumps(_query_values(request.query))}

    return text


class _ObjectInput:
    """One JSON value by the name of each parameter."""

    def __init__(self, parameters: List[inspect.Parameter]) -> None:
        self._defaults: List[Tuple[str, Any]] = [(parameter.name, parameter.default) for parameter in parameters]

    def __call__(self, request: ScoreRequest) -> Dict[str, Any]:
        if request.method == "POST":
            return self._select(_json_object(request.body))
        return self._select(_query_values(request.query))

    def _select(self, values: Mapping[str, Any]) -> Dict[str, Any]:
        chosen = {name: values.get(name, default) for name, default in self._defaults}
        for name, value in chosen.items():
            if value is inspect.Parameter.empty:
                raise InputError(f"A value is not provided for the {name!r} parameter.")
        return chosen


def _decode(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"Input cannot be decoded as UTF-8: {error}") from None


def _json_object(body: bytes) -> Dict[str, Any]:
    if not body:
        raise InputError("POST body is empty. Expecting a JSON dictionary.")
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError(f"POST body could not be decoded as JSON: {error}") from None
    if not isinstance(values, dict):
        raise InputError("POST body should be a JSON dictionary.")
    return values


def _query_values(query: str) -> Dict[str, Any]:
    """Return the query's values, parsed as JSON where they are JSON; a repeated name has a list of them."""
    fields: Fields[str] = Fields(query_pairs(query))
    parsed = {name: [_parse_value(value) for value in fields.getlist(name)] for name in fields}
    return {name: values[0] if len(values) == 1 else values for name, values in parsed.items()}


def _parse_value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text

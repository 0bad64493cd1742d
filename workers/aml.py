"""What scripts import from `azureml.contrib.services`: raw requests in, raw responses out."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, TypeVar, Union
from urllib.parse import unquote

from multidict import CIMultiDict

from workers.fields import Fields, UploadedFile, parse_form, query_pairs
from workers.request import ScoreRequest

RUN_FUNCTION_FAILED = "x-ms-run-function-failed"

F = TypeVar("F", bound=Callable[..., object])

_raw_functions: List[Callable[..., object]] = []


def rawhttp(function: F) -> F:
    """Have run() called with an AMLRequest instead of the body's text."""
    # Remembered per process, not on the function: decorators around it may not keep its attributes.
    _raw_functions.append(function)
    return function


def is_raw_requested() -> bool:
    """Return whether the script applied `@rawhttp` to anything."""
    return bool(_raw_functions)


class AMLRequest:
    """The request as Flask would show it, for `@rawhttp`; the body is never lost, whatever its type says."""

    def __init__(self, request: ScoreRequest) -> None:
        self.method = request.method
        self.path = unquote(request.path)
        self.query_string = request.query.encode("utf-8", "surrogateescape")
        self.full_path = f"{self.path}?{request.query}"
        self.headers: Fields[str] = Fields(request.headers.items(), ignore_case=True)
        self.args: Fields[str] = Fields(query_pairs(request.query))
        self.data = request.body
        self._target = request.target
        self._form: Optional[Tuple[Fields[str], Fields[UploadedFile]]] = None

    @property
    def content_type(self) -> Optional[str]:
        """The Content-Type header with its parameters."""
        return self.headers.get("Content-Type")

    @property
    def mimetype(self) -> str:
        """The Content-Type without parameters, in lower case; empty if there is none."""
        return (self.content_type or "").partition(";")[0].strip().lower()

    @property
    def content_length(self) -> int:
        """The length of the body in bytes."""
        return len(self.data)

    @property
    def host(self) -> str:
        """The Host header."""
        return self.headers.get("Host", "localhost")

    @property
    def base_url(self) -> str:
        """The address asked for, without its query."""
        return f"http://{self.host}{self.path}"

    @property
    def url(self) -> str:
        """The address asked for."""
        return f"http://{self.host}{self._target}"

    @property
    def is_json(self) -> bool:
        """Whether the Content-Type names JSON."""
        return self.mimetype == "application/json" or self.mimetype.endswith("+json")

    @property
    def json(self) -> Any:
        """The body, parsed as JSON."""
        return self.get_json()

    @property
    def stream(self) -> BytesIO:
        """The body as a file, from its beginning."""
        return BytesIO(self.data)

    @property
    def form(self) -> Fields[str]:
        """The text fields of a form."""
        return self._parsed_form()[0]

    @property
    def files(self) -> Fields[UploadedFile]:
        """The files of a multipart form."""
        return self._parsed_form()[1]

    def get_data(self, cache: bool = True, as_text: bool = False, parse_form_data: bool = False) -> Union[bytes, str]:
        """Return the body; `cache` and `parse_form_data` are Flask's and change nothing here."""
        return self.data.decode("utf-8", "replace") if as_text else self.data

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """Return the body parsed as JSON whatever its type; None instead of ValueError if `silent`."""
        try:
            return json.loads(self.data)
        except ValueError:
            if silent:
                return None
            raise

    def _parsed_form(self) -> Tuple[Fields[str], Fields[UploadedFile]]:
        if self._form is None:
            self._form = parse_form(self.content_type or "", self.data)
        return self._form


class AMLResponse:
    """An answer with its own body, status and headers.

    Args:
        message: str or bytes as they are; None is `{}`; anything else, or with `json_str`, is JSON-encoded.
        run_function_failed: Says so in a header, as a status of 500 and more does by itself.
    """

    def __init__(
        self,
        message: Any,
        status_code: int,
        response_headers: Optional[Mapping[str, str]] = None,
        json_str: bool = False,
        run_function_failed: bool = False,
    ) -> None:
        is_plain = isinstance(message, (str, bytes, bytearray, memoryview)) and not json_str
        self.status_code = status_code
        self._body = _as_bytes(message if is_plain else json.dumps({} if message is None else message))
        self.headers: CIMultiDict[str] = CIMultiDict(_default_headers(is_plain, run_function_failed))
        for name, value in (response_headers or {}).items():
            self.headers[name] = str(value)

    @property
    def data(self) -> bytes:
        """The body."""
        return self._body

    def get_data(self) -> bytes:
        """Return the body."""
        return self._body


def _as_bytes(message: Union[str, bytes, bytearray, memoryview]) -> bytes:
    return message.encode() if isinstance(message, str) else bytes(message)


def _default_headers(is_plain: bool, run_function_failed: bool) -> Dict[str, str]:
    # Flask's own default for a body that names no type.
    kind = "text/html; charset=utf-8" if is_plain else "application/json"
    return {"Content-Type": kind, RUN_FUNCTION_FAILED: str(run_function_failed)}

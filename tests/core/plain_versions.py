"""Both versions of the modules for plain messages, and messages for them to read."""

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from hypothesis import strategies as st

import router.core
from router.core import plain_reading, plain_writing
from router.core.headers import ANSWER_ROLES, REQUEST_ROLES


def _from_source(name: str) -> ModuleType:
    """A module of core as Python, whether or not it was compiled."""
    spec = importlib.util.spec_from_file_location(f"{name}_from_source", Path(router.core.__path__[0]) / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


#: The functions as Python, and as they are in use: machine code where the request path is compiled.
SOURCE: Any = SimpleNamespace(**vars(_from_source("plain_reading")) | vars(_from_source("plain_writing")))
IN_USE: Any = SimpleNamespace(**vars(plain_reading) | vars(plain_writing))
VERSIONS = {"source": SOURCE, "in use": IN_USE}

FIRST = b"POST / HTTP/1.1"
FIELDS = [
    (b"Host", b"churn.example"),
    (b"AUTHORIZATION", b"Bearer k"),
    (b"content-Type", b"application/json"),
    (b"User-Agent", b"curl"),
    (b"X-Ms-Client-Request-Id", b"my id"),
    (b"azureml-model-deployment", b"green"),
    (b"Accept", b"*/*"),
    (b"X-Forwarded-For", b"evil"),
    (b"x-teal-generation", b"evil"),
    (b"Connection", b"Keep-Alive"),
    (b"Content-Length", b"12"),
]
#: An answer but for the empty line after its head, and its body of twelve bytes.
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Request-Id: evil\r\ncontent-length: 12\r\nx-a: 1\r\n"


def request_of(fields: Iterable[tuple[bytes, bytes]], *more: bytes, body: bytes = b"twelve bytes") -> bytes:
    """A request with these fields and these lines."""
    return b"\r\n".join((FIRST, *(b"%b: %b" % field for field in fields), *more, b"", body))


def read(plain: Any, data: bytes, *, max_head_bytes: int = 16384, max_fields: int = 100, keeps: bool = False) -> Any:
    """What a version reads of a request that begins with `FIRST`."""
    return plain.read_plain_request(data, len(FIRST) + 2, max_head_bytes, max_fields, keeps)


_OTHERS = (b"x-a", b"x-teal-b", b"X-Teal-C", b"X_Forwarded-B", b"x-real_ip", b"X-Real-IPs", b"a" * 41, b"A b", b"")
_NAMES = sorted({*REQUEST_ROLES, *ANSWER_ROLES, *_OTHERS})
_SEPARATORS = st.sampled_from([b": "] * 8 + [b":", b" : ", b":  ", b""])
_ENDS = st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r", b"\r\n\r\n", b""])
_VALUES = st.one_of(
    st.sampled_from([b"0", b"3", b"12", b"close", b"Keep-Alive", b"a:80", b"[::1]", b"chunked", b" x", b"x ", b""]),
    st.binary(max_size=6),
    st.text('ab/"\\ \t\x7f', max_size=80).map(str.encode),
)
_LINES = st.builds(lambda *parts: b"".join(parts), st.sampled_from(_NAMES), _SEPARATORS, _VALUES, _ENDS)
_WHOLE = st.sampled_from([b"Host: a\r\n", b"Content-Length: 3\r\n", b"content-length: 12\r\n", b"X-A: 1\r\n"])
#: Fields of a head, of which some are not quite right.
HEADS = st.lists(st.one_of(_WHOLE, _WHOLE, _LINES), max_size=8).map(b"".join)
BODIES = st.sampled_from([b"abc", b"", b"twelve bytes", b"\r\n\r\n"])

"""Several values under one name, read the way Flask's request reads them."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path
from typing import Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple, TypeVar, Union, overload
from urllib.parse import parse_qsl

V = TypeVar("V")
D = TypeVar("D")
T = TypeVar("T")

PARAMETER = re.compile(r';\s*([\w*!#$%&+.^`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))')


class Fields(Mapping[str, V]):
    """An immutable mapping to the first value of each name; `getlist` has all of them."""

    def __init__(self, pairs: Iterable[Tuple[str, V]], *, ignore_case: bool = False) -> None:
        self._ignore_case = ignore_case
        self._names: Dict[str, str] = {}
        self._values: Dict[str, List[V]] = {}
        for name, value in pairs:
            self._names.setdefault(self._key(name), name)
            self._values.setdefault(self._key(name), []).append(value)

    def __getitem__(self, name: str) -> V:
        return self._values[self._key(name)][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names.values())

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._key(name) in self._names

    def __repr__(self) -> str:
        return f"Fields({list(self.items())!r})"

    @overload
    def get(self, key: str, /) -> Optional[V]: ...
    @overload
    def get(self, key: str, default: Union[V, D], type: None = None) -> Union[V, D]: ...
    @overload
    def get(self, key: str, default: Union[T, D, None] = None, *, type: Callable[[V], T]) -> Union[T, D, None]: ...
    def get(self, key: str, default: object = None, type: Optional[Callable[[V], object]] = None) -> object:
        """Return the first value, converted by `type`; `default` where there is none or it cannot be converted."""
        if key not in self:
            return default
        try:
            return type(self[key]) if type else self[key]
        except (ValueError, TypeError):
            return default

    def getlist(self, name: str) -> List[V]:
        """Return every value of `name`, in the order they were sent."""
        return list(self._values.get(self._key(name), ()))

    def _key(self, name: str) -> str:
        return name.lower() if self._ignore_case else name


class UploadedFile(BytesIO):
    """One file of a multipart form."""

    def __init__(self, content: bytes, filename: str, content_type: str) -> None:
        super().__init__(content)
        self.filename = filename
        self.content_type = content_type

    def save(self, destination: Union[str, Path]) -> None:
        """Write what has not been read yet to a file."""
        Path(destination).write_bytes(self.read())


def query_pairs(query: str) -> List[Tuple[str, str]]:
    """Return the names and values of a query string; a name without a value has an empty one."""
    return parse_qsl(query, keep_blank_values=True, errors="replace")


def parse_form(content_type: str, body: bytes) -> Tuple[Fields[str], Fields[UploadedFile]]:
    """Return the text fields and the files of a form; of any other body, none."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        return Fields(query_pairs(body.decode("utf-8", "replace"))), Fields(())
    boundary = parse_parameters(content_type).get("boundary")
    if kind != "multipart/form-data" or not boundary:
        return Fields(()), Fields(())
    return _parse_multipart(boundary, body)


def parse_parameters(header: str) -> Dict[str, str]:
    """Return the `; name=value` parameters of a header value."""
    return {
        name.lower(): re.sub(r"\\(.)", r"\1", quoted) if quoted else plain
        for name, quoted, plain in PARAMETER.findall(header)
    }


def _parse_multipart(boundary: str, body: bytes) -> Tuple[Fields[str], Fields[UploadedFile]]:
    texts: List[Tuple[str, str]] = []
    files: List[Tuple[str, UploadedFile]] = []
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary.encode())[1:]:
        if part.startswith(b"--"):
            break  # the closing delimiter; what follows is no part
        head, _, content = part.partition(b"\r\n\r\n")
        headers = _part_headers(head)
        disposition = parse_parameters(headers.get("content-disposition", ""))
        name, filename = disposition.get("name", ""), disposition.get("filename")
        if filename is None:
            texts.append((name, content.decode("utf-8", "replace")))
        else:
            kind = headers.get("content-type", "application/octet-stream")
            files.append((name, UploadedFile(content, filename, kind)))
    return Fields(texts), Fields(files)


def _part_headers(head: bytes) -> Dict[str, str]:
    lines = (line.partition(":") for line in head.decode("utf-8", "replace").split("\r\n"))
    return {name.strip().lower(): value.strip() for name, _, value in lines}

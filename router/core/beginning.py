"""The beginning of a head whose end has not come: whether it can be held without a parser until there is more.

Rules
- It can if no parser would refuse it yet, whatever follows: it is written as nearly every client writes it. So whoever
  holds it answers what the parser would answer, which is nothing.
- Anything else is the parser's at once, with its answer at once.
"""

import re

from router.core.headers import CONTROLS, MAX_DIGITS

_METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS")
_VERSION = b"HTTP/1.1"
_TARGET = re.compile(rb"/[\w.~%/?=&:,+-]*", re.ASCII)
_NAME = re.compile(rb"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_VALUE = re.compile(rb"[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?")
_BEGUN_VALUE = re.compile(rb"(?: (?:[!-~\x80-\xff][\t -~\x80-\xff]*)?)?")
#: A body that is framed in another way than by its length. Parsers look at the value as it comes.
_CODED = b"transfer-encoding"
_LENGTH = b"content-length"
#: Larger ones are the parser's, which does not look at them from the start again with every line.
MAX_BYTES = 8 * 1024
_MAX_LINES = 64
_HEAD_END = b"\r\n\r\n"


def has_controls(piece: bytes) -> bool:
    """Whether there is more in it than the middle of a line."""
    return len(piece.translate(None, CONTROLS)) != len(piece)


def is_harmless(beginning: bytes, max_lines: int) -> bool:
    """Whether no parser refuses what has come of a head so far.

    Args:
        beginning: Not empty, and without the empty line at the end of a head.
        max_lines: More are refused.
    """
    *lines, last = beginning.split(b"\r\n")
    if not lines:
        return len(last) <= MAX_BYTES and _begins_request(last)
    if len(lines) > min(max_lines, _MAX_LINES) or len(beginning) > MAX_BYTES or not _is_request(lines[0]):
        return False
    names = set()
    for line in lines[1:]:
        name, _, value = line.partition(b": ")
        lower = name.lower()
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value) or lower == _CODED or lower in names:
            return False
        if lower == _LENGTH and not _is_length(value):
            return False
        names.add(lower)
    return _begins_field(last, names)


def least_missing(beginning: bytes) -> int:
    """How many bytes at least have to follow until a head that begins so can be whole: never more than that."""
    if b"\r\n" in beginning:
        return len(_HEAD_END) - max(size for size in range(len(_HEAD_END)) if beginning.endswith(_HEAD_END[:size]))
    line = beginning.removesuffix(b"\r")
    begun = len(beginning) - len(line)
    _, has_target, rest = line.partition(b" ")
    _, has_version, version = rest.partition(b" ")
    words = max(0, len(_VERSION) - len(version)) + (0 if has_version else len(" ")) + (0 if has_target else len(" /"))
    return words + len(_HEAD_END) - begun


def _is_request(line: bytes) -> bool:
    method, _, rest = line.partition(b" ")
    target, _, version = rest.partition(b" ")
    return method in _METHODS and version == _VERSION and _TARGET.fullmatch(target) is not None


def _begins_request(line: bytes) -> bool:
    method, has_target, rest = line.partition(b" ")
    if not has_target:
        return any(known.startswith(method) for known in _METHODS)
    target, has_version, version = rest.partition(b" ")
    is_target = _TARGET.fullmatch(target) is not None or not (target or has_version)
    return method in _METHODS and is_target and (_VERSION + b"\r").startswith(version)


def _begins_field(line: bytes, names: set[bytes]) -> bool:
    """Whether a line that may end here or go on is a field that is not among `names`, or the end of the head."""
    name, has_value, value = line.removesuffix(b"\r").partition(b":")
    if not has_value:
        return not name or (_NAME.fullmatch(name) is not None and not line.endswith(b"\r"))
    lower = name.lower()
    if not _NAME.fullmatch(name) or not _BEGUN_VALUE.fullmatch(value) or lower == _CODED or lower in names:
        return False
    return lower != _LENGTH or len(value) <= 1 or _is_length(value[1:])


def _is_length(value: bytes) -> bool:
    return value.isdigit() and len(value) <= MAX_DIGITS

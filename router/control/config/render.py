"""How a value is written as YAML: in one line or in several, in the style of the file that it comes into."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import yaml

_START: Final = re.compile(r"[\w/.~$+(]|--?\w")
_NEVER_PLAIN: Final = re.compile(r": | #|[: ]\Z|\A(?:\.\.\.|---)")
_FLOW_INDICATOR: Final = re.compile(r"[,\[\]{}?]")
# What YAML 1.2, or a reader that is less exact than PyYAML, takes for something else than text.
_MISREAD: Final = re.compile(
    r"[-+]?(\.\d+|\d+(\.\d*)?)(e[-+]?\d+)?|0[ox][\da-f]+|\d+(:\d+)+(\.\d*)?"
    r"|y|n|yes|no|on|off|true|false|null|~|[-+]?\.?(nan|inf)",
    re.IGNORECASE,
)
_RESOLVERS: Final = yaml.CSafeLoader.yaml_implicit_resolvers
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0"}
#: A mapping of numbers that is longer is written in lines.
_MAX_FLOW: Final = 80


class RenderError(Exception):
    """YAML cannot hold a value; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a file writes things.

    Attributes:
        indent: Spaces from a key to the keys of the mapping that is its value.
        dash: Spaces from a key to the dashes of the list that is its value.
        flow: Whether what has this key is written as `{...}` or `[...]`, as far as the file shows.
        is_json: Whether keys and texts are in double quotes.
    """

    indent: int = 2
    dash: int = 2
    flow: Mapping[str, bool] = field(default_factory=dict)
    is_json: bool = False


@dataclass(frozen=True, slots=True)
class Rendered:
    """A value behind its key or dash.

    Attributes:
        head: What comes in the same line; may be empty.
        lines: What comes in the lines below, indented from the column of the key or dash on.
    """

    head: str
    lines: tuple[str, ...] = ()


def render(value: object, style: Style, *, key: str = "", quote: str = "") -> Rendered:
    """The value, in lines if that is how such a value is written.

    Args:
        key: The key that it comes behind.
        quote: Quotation mark of the text that it takes the place of.

    Raises:
        RenderError: YAML cannot hold it.
    """
    if isinstance(value, str) and not quote and _fits_in_lines(value):
        lines = value.removesuffix("\n").split("\n")
        return Rendered("|" if value.endswith("\n") else "|-", _indented(lines, style.indent))
    if not isinstance(value, dict | list) or is_written_in_line(value, style, key):
        return Rendered(inline(value, style, quote=quote))
    if isinstance(value, dict):
        return Rendered("", _indented(mapping_lines(value, style), style.indent))
    return Rendered("", _indented(list_lines(value, style), style.dash))


def mapping_lines(value: Mapping[str, object], style: Style) -> Iterator[str]:
    """The lines of a mapping, not indented."""
    for key, item in value.items():
        rendered = render(item, style, key=key)
        yield f"{key_text(key, style)}:{' ' if rendered.head else ''}{rendered.head}"
        yield from rendered.lines


def list_lines(value: Iterable[object], style: Style) -> Iterator[str]:
    """The lines of a list, not indented."""
    for item in value:
        if isinstance(item, dict | list) and not is_written_in_line(item, style, ""):
            lines = mapping_lines(item, style) if isinstance(item, dict) else list_lines(item, style)
            yield f"- {next(lines)}"
            yield from _indented(lines, 2)
        else:
            rendered = render(item, style)
            yield f"- {rendered.head}"
            yield from rendered.lines


def inline(value: object, style: Style, *, quote: str = "", is_inside: bool = False) -> str:
    """The value in one line.

    Args:
        is_inside: Whether it stands in `{...}` or `[...]`.
    """
    if isinstance(value, dict):
        return f"{{{', '.join(inline_pairs(value, style))}}}"
    if isinstance(value, list):
        return f"[{', '.join(inline(item, style, is_inside=True) for item in value)}]"
    if isinstance(value, str):
        return _text(value, '"' if style.is_json else quote, is_inside=is_inside)
    return _plain(value)


def inline_pairs(value: Mapping[str, object], style: Style) -> Iterator[str]:
    """Each key with its value, as they stand in `{...}`."""
    for key, item in value.items():
        yield f"{key_text(key, style, is_inside=True)}: {inline(item, style, is_inside=True)}"


def key_text(key: str, style: Style, *, is_inside: bool = False) -> str:
    """The key without its colon."""
    return _text(key, '"' if style.is_json else "", is_inside=is_inside)


def is_written_in_line(value: Mapping[str, object] | list[object], style: Style, key: str) -> bool:
    """Whether a collection is written as `{...}` or `[...]`: as the file writes it elsewhere, or if it is weights."""
    if not value:
        return True
    items = list(value.values() if isinstance(value, Mapping) else value)
    if any(isinstance(item, dict | list) and item for item in items):
        return False
    if any(isinstance(item, str) and "\n" in item for item in items):
        return False
    default = isinstance(value, Mapping) and all(_is_number(item) for item in items)
    return style.flow.get(key, default) and len(inline(value, style)) <= _MAX_FLOW


def _indented(lines: Iterable[str], spaces: int) -> tuple[str, ...]:
    return tuple(f"{' ' * spaces}{line}" if line else "" for line in lines)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _float(value)
        case _:
            raise RenderError(f"a {type(value).__name__} has no place in YAML")


def _float(value: float) -> str:
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    text = repr(value)
    # YAML 1.1 takes 1e+20 for text.
    return text.replace("e", ".0e") if "e" in text and "." not in text else text


def _text(value: str, quote: str, *, is_inside: bool) -> str:
    if quote != '"' and value.isprintable():
        if not quote and _is_plain(value, is_inside=is_inside):
            return value
        if quote == "'" or ("'" not in value and ('"' in value or "\\" in value)):
            return "'" + value.replace("'", "''") + "'"
    return '"' + "".join(map(_escaped, value)) + '"'


def _is_plain(value: str, *, is_inside: bool) -> bool:
    """Whether every reader takes it for text, and for this one, without quotation marks."""
    if not _START.match(value) or _NEVER_PLAIN.search(value):
        return False
    if is_inside and _FLOW_INDICATOR.search(value):
        return False
    if _MISREAD.fullmatch(value):
        return False
    return not any(pattern.match(value) for _, pattern in _RESOLVERS.get(value[0], ()))


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    number = ord(character)
    if 0xD800 <= number <= 0xDFFF:
        raise RenderError(f"half a character (U+{number:04X}) has no place in YAML")
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _fits_in_lines(text: str) -> bool:
    """Whether `|` holds it as it is: several lines, the first not indented, the last not empty."""
    lines = text.removesuffix("\n").split("\n")
    return "\n" in text and all(map(str.isprintable, lines)) and lines[-1] != "" and lines[0][:1] not in {"", " "}

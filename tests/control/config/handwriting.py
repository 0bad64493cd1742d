"""YAML as people write it, at random: comments anywhere, odd spaces, every quotation mark, lists indented or not."""

from collections.abc import Mapping, Sequence
from random import Random

from router.control.config.document import KeyPath
from router.control.config.edit import Edit, Remove, Set
from router.control.config.render import Style, inline, render
from router.control.config.rewrite import same

KEYS = ("a", "b", "c", "dd", "Ee", "on", "traffic", "x y", "12", "null")
SCALARS = (
    0, 100, 33.3, True, None, "x", "on", "1e3", "12:30", "2024-01-01", "007", "a: b", "#c", "", "it's", 'say "hi"',
    "é😀", "http://a:1", "- x", " lead", "trail ", "two\nlines\n", "two\nlines", "\n\nblank\n\n",
)  # fmt: skip
_STYLE = Style()
_QUOTES = ("", "", "'", '"')


def a_value(random: Random, depth: int = 1) -> object:
    """A scalar, a mapping or a list."""
    kind = random.random()
    if depth > 3 or kind < 0.45:
        return random.choice(SCALARS)
    if kind < 0.75:
        return {random.choice(KEYS): a_value(random, depth + 1) for _ in range(random.randint(0, 3))}
    return [a_value(random, depth + 1) for _ in range(random.randint(0, 3))]


def a_mapping(random: Random, *, repeats: bool = False) -> dict[str, object]:
    """A mapping with something in it.

    Args:
        repeats: Whether some of it comes several times, so that aliases can say it.
    """
    made = {key: a_value(random) for key in random.sample(KEYS, random.randint(1, 5))}
    if repeats:
        base = {key: a_value(random, 2) for key in random.sample(KEYS, 3)}
        made |= {key: base | {random.choice(KEYS): a_value(random, 2)} for key in random.sample(KEYS, 2)}
        made |= {random.choice(KEYS): dict(base)}
    return made


def an_edit(random: Random, data: Mapping[str, object]) -> Edit:
    """An edit of something that is in the data, or comes into it."""
    paths = list(_paths(data, ()))
    path = random.choice(paths) if paths else ("a",)
    value = _at(data, path)
    match random.randrange(4), value:
        case 0, _:
            return Remove(path=path)
        case 1, dict():
            return Set(path=(*path, random.choice(KEYS)), value=a_value(random))
        case 1, list():
            return Set(path=(*path, len(value)), value=a_value(random))
        case 2, _:
            return Set(path=path, value=random.choice(SCALARS))
        case _:
            return Set(path=path, value=a_value(random))


def _paths(data: object, path: KeyPath) -> list[KeyPath]:
    children: list[tuple[str | int, object]] = []
    if isinstance(data, dict):
        children = list(data.items())
    elif isinstance(data, list):
        children = list(enumerate(data))
    return [found for step, child in children for found in [(*path, step), *_paths(child, (*path, step))]]


def _at(data: object, path: KeyPath) -> object:
    for step in path:
        data = data.get(step) if isinstance(data, Mapping) else data[step]  # type: ignore[index,call-overload]
    return data


class Hand:
    """Writes one text.

    Args:
        has_aliases: Whether it writes aliases and merge keys for what it has written before.
    """

    def __init__(self, random: Random, *, has_aliases: bool) -> None:
        self._random = random
        self._has_aliases = has_aliases
        self._indent = random.choice((2, 2, 3, 4))
        self._dash = random.choice((0, 2, 4))
        self._anchors: list[tuple[str, object]] = []
        self._comments = 0

    def write(self, data: Mapping[str, object]) -> str:
        """The text of the data."""
        lines = self._maybe(0.2, self._comment()) + self._maybe(0.2, "---") + self._mapping(data, 0)
        lines += self._maybe(0.2, self._comment())
        line_break = self._random.choice(("\n", "\n", "\r\n"))
        return line_break.join(lines) + self._random.choice((line_break, line_break, line_break, ""))

    def _maybe(self, chance: float, line: str) -> list[str]:
        return [line] if self._random.random() < chance else []

    def _comment(self) -> str:
        self._comments += 1
        return f"# c{self._comments}{self._random.choice(('', ' - x', ': y', ' {'))}"

    def _line_end(self) -> str:
        return self._random.choice(("", "", "", "", f"  {self._comment()}", f" {self._comment()}", " "))

    def _between(self, column: int) -> list[str]:
        comment = " " * column + self._comment()
        return self._random.choice(([],) * 8 + ([""], [comment], ["", comment], [comment[:1] + comment]))

    def _mapping(self, data: Mapping[str, object], column: int) -> list[str]:
        lines: list[str] = []
        merged = self._merged(data) if self._has_aliases else None
        if merged is not None:
            name, source = merged
            alias = self._random.choice((f"*{name}", f"[*{name}]", f"{{<<: *{name}}}"))
            lines.append(f"{' ' * column}<<: {alias}{self._line_end()}")
            data = {key: value for key, value in data.items() if key not in source or not same(value, source[key])}
        for key, value in data.items():
            lines += [*self._between(column), *self._pair(key, value, column), *self._between(column)]
        return lines

    def _merged(self, data: Mapping[str, object]) -> tuple[str, Mapping[str, object]] | None:
        for name, value in self._anchors:
            if isinstance(value, dict) and value and value.keys() <= data.keys() and self._random.random() < 0.5:
                return name, value
        return None

    def _pair(self, key: str, value: object, column: int) -> list[str]:
        head = inline(key, _STYLE, quote=self._random.choice(_QUOTES))
        if value is not None and not isinstance(value, dict | list) and self._random.random() < 0.05:
            return [f"{' ' * column}? {head}", f"{' ' * column}: {inline(value, _STYLE)}"]
        return self._behind(f"{' ' * column}{head}:", value, column)

    def _behind(self, head: str, value: object, column: int) -> list[str]:
        """A key or a dash with its value."""
        names = [name for name, known in self._anchors if same(known, value)]
        if names and self._random.random() < 0.5:
            return [f"{head} *{names[0]}{self._line_end()}"]
        anchor = self._anchor(value)
        lines = self._written(f"{head}{anchor}", value, column)
        if anchor:  # only now, or it could contain itself
            self._anchors.append((anchor.strip(" &"), value))
        return lines

    def _anchor(self, value: object) -> str:
        is_one = self._has_aliases and isinstance(value, dict | list | str) and self._random.random() < 0.3
        self._comments += is_one
        return f" &n{self._comments}" if is_one else ""

    def _written(self, head: str, value: object, column: int) -> list[str]:
        if isinstance(value, dict | list):
            return self._collection(head, value, column)
        if isinstance(value, str):
            return self._text(head, value, column)
        if value is None and self._random.random() < 0.5:
            return [head + self._line_end()]
        return [f"{head}{self._random.choice((' ', ' ', '   '))}{inline(value, _STYLE)}{self._line_end()}"]

    def _collection(self, head: str, value: dict[str, object] | list[object], column: int) -> list[str]:
        if not value or self._random.random() < 0.25:
            return self._flow(head, value, column)
        if isinstance(value, list):
            return self._below(head, self._list(value, column + (self._dash if head.endswith(":") else 2)))
        if head.endswith("-") and self._random.random() < 0.5:
            first, *others = self._mapping(value, column + 2)
            is_key = bool(first.strip()) and "#" not in first
            return [f"{head} {first.lstrip()}", *others] if is_key else self._below(head, [first, *others])
        return self._below(head, self._mapping(value, column + self._indent))

    def _below(self, head: str, lines: list[str]) -> list[str]:
        return [head + self._line_end(), *lines]

    def _list(self, items: Sequence[object], column: int) -> list[str]:
        lines: list[str] = []
        for item in items:
            lines += [*self._between(column), *self._behind(f"{' ' * column}-", item, column)]
        return lines

    def _text(self, head: str, value: str, column: int) -> list[str]:
        rendered = render(value, Style(indent=self._indent))
        if rendered.lines:
            return [f"{head} {rendered.head}", *(f"{' ' * column}{line}".rstrip() for line in rendered.lines)]
        return [f"{head} {inline(value, _STYLE, quote=self._random.choice(_QUOTES))}{self._line_end()}"]

    def _flow(self, head: str, value: Mapping[str, object] | list[object], column: int) -> list[str]:
        if not isinstance(value, dict) or not value or self._random.random() < 0.6:
            return [f"{head} {self._brackets(value)}{self._line_end()}"]
        pairs = [f"{inline(key, _STYLE, is_inside=True)}: {self._brackets(item)}" for key, item in value.items()]
        lines = [f"{' ' * (column + 2)}{pair},{self._line_end()}" for pair in pairs]
        return [f"{head} {{{self._line_end()}", *lines, f"{' ' * (column + 1)}}}{self._line_end()}"]

    def _brackets(self, value: object) -> str:
        pad, comma = self._random.choice(("", " ")), self._random.choice(("", ","))
        if isinstance(value, dict) and value:
            colon = self._random.choice((": ", ":  "))
            pairs = (
                f"{inline(key, _STYLE, is_inside=True)}{colon}{self._brackets(item)}" for key, item in value.items()
            )
            return f"{{{pad}{', '.join(pairs)}{comma}{pad}}}"
        if isinstance(value, list) and value:
            return f"[{pad}{', '.join(map(self._brackets, value))}{comma}{pad}]"
        return inline(value, _STYLE, quote=self._random.choice(_QUOTES), is_inside=True)

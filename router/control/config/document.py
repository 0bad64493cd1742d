"""A YAML file as plain data that remembers where each value stands.

What YAML itself lets pass and a config must not: a key written twice, a key that is no text (`on`, `123`), tags that
make objects, values that contain themselves, aliases that expand beyond all bounds.
"""

from typing import Final, NamedTuple

import yaml
from yaml.constructor import SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

KeyPath = tuple[str | int, ...]

MAX_DEPTH: Final = 50
MAX_VALUES: Final = 1_000_000
_MAX_FLAWS = 1000  # are kept; one refuses the file
_TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"
_TOO_MANY = f"more than {MAX_VALUES} values, aliases included"

_TAG = "tag:yaml.org,2002:"
_TEXT = f"{_TAG}str"
_MERGE = f"{_TAG}merge"
# A date is meant as text wherever a config has one (`version: 2024-01-01`), and so is a lone `=`.
_TEXT_TAGS = frozenset({_TEXT, f"{_TAG}timestamp", f"{_TAG}value"})
_SCALARS = {
    f"{_TAG}null": SafeConstructor.construct_yaml_null,
    f"{_TAG}bool": SafeConstructor.construct_yaml_bool,
    f"{_TAG}int": SafeConstructor.construct_yaml_int,
    f"{_TAG}float": SafeConstructor.construct_yaml_float,
}


class Flaw(NamedTuple):
    """Something wrong with the YAML at a place in it."""

    path: KeyPath
    line: int
    message: str


class UnreadableError(Exception):
    """The text is no YAML mapping at all."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


class _Pair(NamedTuple):
    key: ScalarNode
    value: Node


class _Loader(yaml.CSafeLoader):
    """PyYAML's C loader with bounds.

    On nesting, as libyaml's composer recurses on the C stack and would overrun it; on values before all are in memory.
    """

    depth = 0
    values = 0

    def resolve(self, kind: type[Node], value: str | None, implicit: tuple[bool, bool]) -> str:
        """The tag of a value without one; most are text, which its first character tells sooner than a regex."""
        if kind is ScalarNode and value and value[0] not in self.yaml_implicit_resolvers:
            return _TEXT
        tag: str = super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]
        return tag

    def descend_resolver(self, current_node: Node | None, current_index: object) -> None:
        self.depth += 1
        self.values += 1
        if self.depth > MAX_DEPTH or self.values > MAX_VALUES:
            line = current_node.start_mark.line + 1 if current_node else 1
            raise UnreadableError(line, _TOO_DEEP if self.depth > MAX_DEPTH else _TOO_MANY)

    def ascend_resolver(self) -> None:
        self.depth -= 1


class Document:
    """The data of a file, its flaws, and where in the file a path of keys stands."""

    def __init__(self, root: MappingNode, builder: "_Builder") -> None:
        self._root = root
        self._builder = builder
        self.data = builder.mapping(root, ())
        self.flaws = tuple(builder.flaws)

    def line(self, path: KeyPath) -> int:
        """The line of the key or list item at `path`, or of the nearest one above it that exists."""
        node: Node = self._root
        line = 1
        for step in path:
            found = self._builder.child(node, step)
            if found is None:
                break
            line, node = found
        return line

    def node(self, path: KeyPath) -> Node | None:
        """The value at `path` as it is written, or None if there is none."""
        node: Node = self._root
        for step in path:
            found = self._builder.child(node, step)
            if found is None:
                return None
            node = found[1]
        return node


class _Builder:
    """Turns nodes into data; remembers what each node became, so that an alias costs nothing a second time."""

    def __init__(self, loader: _Loader) -> None:
        self.flaws: list[Flaw] = []
        self._loader = loader
        self._built: dict[int, tuple[object, int]] = {}
        self._pairs: dict[int, dict[str, _Pair]] = {}
        self._open: set[int] = set()
        self._values_left = MAX_VALUES

    def mapping(self, node: MappingNode, path: KeyPath) -> dict[str, object]:
        """The mapping's data, merge keys applied."""
        return {key: self._build(pair.value, (*path, key)) for key, pair in self.pairs(node, path).items()}

    def pairs(self, node: MappingNode, path: KeyPath) -> dict[str, _Pair]:
        """Keys and values of a mapping; its own come after those of its merge keys, and win over them."""
        known = self._pairs.get(id(node))
        if known is not None:
            return known
        self._pairs[id(node)] = {}  # what a mapping that merges itself finds
        merged: dict[str, _Pair] = {}
        own: dict[str, _Pair] = {}
        for key, value in node.value:
            if key.tag == _MERGE:
                self._merge(value, merged, path)
            elif self._is_key(key, own, path):
                own[key.value] = _Pair(key, value)
        self._pairs[id(node)] = pairs = merged | own
        self._spend(len(pairs), node)
        return pairs

    def child(self, node: Node, step: str | int) -> tuple[int, Node] | None:
        """Line and value of a key or index, the key compared without case if it is not there as spelled."""
        if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
            item = node.value[step]
            return item.start_mark.line + 1, item
        if isinstance(node, MappingNode):
            pairs = self.pairs(node, ())
            pair = pairs.get(str(step)) or next((p for k, p in pairs.items() if k.lower() == str(step).lower()), None)
            return (pair.key.start_mark.line + 1, pair.value) if pair else None
        return None

    def _merge(self, value: Node, merged: dict[str, _Pair], path: KeyPath) -> None:
        sources = value.value if isinstance(value, SequenceNode) else [value]
        for source in sources:
            if isinstance(source, MappingNode):
                for key, pair in self.pairs(source, path).items():
                    merged.setdefault(key, pair)
            else:
                self._flaw((*path, "<<"), source, "expected an alias of a mapping, such as *defaults")

    def _is_key(self, key: Node, own: dict[str, _Pair], path: KeyPath) -> bool:
        if not isinstance(key, ScalarNode):
            self._flaw(path, key, "a key is a list or mapping, expected text")
        elif key.tag not in _TEXT_TAGS:
            self._flaw((*path, key.value), key, f'YAML reads this key as {_kind(key)}; put it in quotes: "{key.value}"')
        elif key.value in own:
            first = own[key.value].key.start_mark.line + 1
            self._flaw((*path, key.value), key, f"written twice, first in line {first}")
        else:
            return True
        return False

    def _build(self, node: Node, path: KeyPath) -> object:
        if isinstance(node, ScalarNode):
            return node.value if node.tag in _TEXT_TAGS else self._scalar(node, path)
        known = self._built.get(id(node))
        if known is not None:
            self._spend(known[1], node)
            return known[0]
        if id(node) in self._open:
            self._flaw(path, node, "contains itself")
            return None
        before = self._values_left
        self._open.add(id(node))
        value = self._collection(node, path)
        self._open.remove(id(node))
        self._spend(1, node)
        self._built[id(node)] = (value, before - self._values_left)
        return value

    def _collection(self, node: Node, path: KeyPath) -> object:
        if isinstance(node, MappingNode) and node.tag == f"{_TAG}map":
            return self.mapping(node, path)
        if isinstance(node, SequenceNode) and node.tag == f"{_TAG}seq":
            self._spend(len(node.value), node)
            return [self._build(item, (*path, index)) for index, item in enumerate(node.value)]
        self._flaw(path, node, f"the tag {_tag(node)} is not supported")
        return None

    def _scalar(self, node: ScalarNode, path: KeyPath) -> object:
        construct = _SCALARS.get(node.tag)
        if construct is None:
            self._flaw(path, node, f"the tag {_tag(node)} is not supported")
            return None
        try:
            return construct(self._loader, node)
        except (ValueError, KeyError, IndexError):
            self._flaw(path, node, f"{node.value!r} is not {_kind(node)}")
            return None

    def _spend(self, values: int, node: Node) -> None:
        self._values_left -= values
        if self._values_left < 0:
            raise UnreadableError(node.start_mark.line + 1, _TOO_MANY)

    def _flaw(self, path: KeyPath, node: Node, message: str) -> None:
        if len(self.flaws) < _MAX_FLAWS:
            self.flaws.append(Flaw(path, node.start_mark.line + 1, message))


def read_document(text: str, *, example: str = "endpoints: {}") -> Document:
    """The document in `text`.

    Args:
        example: A field that it may have, for the message when it has none.

    Raises:
        UnreadableError: No YAML, not one document, empty, or no mapping.
    """
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
    except yaml.YAMLError as error:
        raise _unreadable(error, text) from error
    if root is None:
        raise UnreadableError(1, f"the file is empty; expected at least `{example}`")
    if not isinstance(root, MappingNode) or root.tag != f"{_TAG}map":
        raise UnreadableError(
            root.start_mark.line + 1, f"expected fields such as `{example.partition(' ')[0]}` at the top"
        )
    return Document(root, _Builder(loader))


def _unreadable(error: yaml.YAMLError, text: str) -> UnreadableError:
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        column = error.position - (before.rfind("\n") + 1) + 1
        return UnreadableError(before.count("\n") + 1, f"not YAML: column {column}: a control character")
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return UnreadableError(1, f"not YAML: {error}")
    lines = text.split("\n")
    line = min(mark.line, len(lines) - 1)
    reason = _reason(error, lines[line], mark.column)
    return UnreadableError(line + 1, f"not YAML: column {mark.column + 1}: {reason}")


def _reason(error: yaml.YAMLError, line: str, column: int) -> str:
    if line[column : column + 1] == "\t" or "\t" in line[: len(line) - len(line.lstrip())]:
        return "a tab; indent with spaces"
    if getattr(error, "problem", None) == "but found another document":
        return "a second document; expected one"
    parts = (getattr(error, "problem", None), getattr(error, "context", None))
    return ", ".join(part for part in parts if part)


def _tag(node: Node) -> str:
    return str(node.tag).replace(_TAG, "!!")


def _kind(node: Node) -> str:
    kinds = {"bool": "true or false", "int": "a number", "float": "a number", "null": "nothing"}
    return kinds.get(str(node.tag).removeprefix(_TAG), "something else")

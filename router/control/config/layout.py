"""Where everything stands in a YAML text: each key, value and item with its first and last character.

PyYAML's marks, put right where they say little: a block collection ends at the next token there, comments included,
and a value that is not written stands wherever the next token does.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentEndEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
)

Kind = Literal["scalar", "mapping", "sequence", "alias"]

_BREAKS = "\r\n\x85\u2028\u2029"  # as libyaml
_BREAK = re.compile(f"\r\n|[{_BREAKS}]")
_BLANK = re.compile(f"(?:[ \t{_BREAKS}]|#[^{_BREAKS}]*)*")
_PROPERTIES = re.compile(f"(?:[&!][^ \t{_BREAKS}]*[ \t]*)*")
_KEEPS_BLANK_LINES = re.compile(r"[|>][0-9]?\+")
_LAST_BREAK = re.compile(f"(?:\r\n|[{_BREAKS}])?\\Z")
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(slots=True, kw_only=True, eq=False)
class Node:
    """One value as it is written.

    Attributes:
        start: Index of its first character, which may be that of its anchor or tag.
        end: Index after its last character. Comments and line breaks after it are not part of it.
        column: Of its entries, if it is written in lines; otherwise of `start`.
        inside: Index after the opening bracket.
        is_flow: Whether it is `{...}` or `[...]`, or the `a: 1` of `[a: 1]`.
        style: Of a scalar: `'`, `"`, `|`, `>`, or empty if it is plain.
        text: Of a scalar.
        target: What an alias stands for; None if there is no such anchor.
    """

    kind: Kind
    start: int
    end: int
    column: int
    inside: int = 0
    is_flow: bool = False
    style: str = ""
    anchor: str | None = None
    tag: str | None = None
    text: str = ""
    entries: "list[Entry]" = field(default_factory=list)
    target: "Node | None" = None

    @property
    def is_collection(self) -> bool:
        """Whether it has entries, or could have."""
        return self.kind in {"mapping", "sequence"}

    @property
    def is_block(self) -> bool:
        """Whether it is a collection that is written in lines."""
        return self.is_collection and not self.is_flow

    def targets(self) -> "Iterator[Node]":
        """What the aliases in it stand for."""
        if self.target is not None:
            yield self.target
        for entry in self.entries:
            yield from entry.value.targets()

    @property
    def is_bare(self) -> bool:
        """Whether it is the `a: 1` of `[a: 1]`."""
        return self.is_flow and self.inside == self.start


@dataclass(slots=True, kw_only=True, eq=False)
class Entry:
    """One key with its value, or one item of a sequence, which has no key.

    Attributes:
        start: Index of the key, or of the `?` before it; of an item's `-`, or in `[...]` of the item itself.
        head_end: Index after the `:` or `-`; if there is none, after the key, or of the item itself.
        has_head: Whether there is a `:` or `-`.
    """

    start: int
    head_end: int
    has_head: bool
    key: Node | None
    value: Node

    @property
    def name(self) -> str:
        """The key's text."""
        return self.key.text if self.key is not None else ""

    @property
    def is_merge(self) -> bool:
        """Whether the key is a merge key."""
        key = self.key
        return key is not None and (key.tag == _MERGE or (key.text == "<<" and not key.style and key.tag is None))

    @property
    def end(self) -> int:
        """Index after its last character."""
        return max(self.value.end, self.head_end)


class Layout:
    """A text with at most one document, and what stands where in it.

    Attributes:
        root: None if there is nothing but comments.
        end: Index of the `...` that ends the document, or of the end of the text.
        aliases: Every alias in it.

    Raises:
        yaml.YAMLError: it is no YAML.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.root: Node | None = None
        self.end = len(text)
        self.aliases: list[Node] = []
        self._anchors: dict[str, Node] = {}
        self._events: Iterator[Event] = yaml.parse(text, Loader=yaml.CSafeLoader)
        for event in self._events:
            if isinstance(event, DocumentEndEvent) and event.explicit:
                self.end = _span(event)[0]
            elif isinstance(event, NodeEvent):
                self.root = self._node(event)

    # Lines

    @property
    def line_break(self) -> str:
        """What ends the lines of the text."""
        found = _BREAK.search(self.text)
        return "\r\n" if found and found[0] == "\r\n" else "\n"

    def line_start(self, index: int) -> int:
        """Index of the first character of a line."""
        return 1 + max(self.text.rfind(character, 0, index) for character in _BREAKS)

    def line_end(self, index: int) -> int:
        """Index of the break that ends a line, or of the end of the text."""
        found = _BREAK.search(self.text, index)
        return found.start() if found else len(self.text)

    def next_line(self, index: int) -> int:
        """Index of the first character of the line after; the end of the text, if there is none."""
        found = _BREAK.search(self.text, index)
        return found.end() if found else len(self.text)

    def line_before(self, line: int) -> int | None:
        """Start of the line before the one that starts at `line`."""
        if line == 0:
            return None
        is_pair = self.text[line - 2 : line] == "\r\n"
        return self.line_start(line - 2 if is_pair else line - 1)

    def is_first_in_line(self, index: int) -> bool:
        """Whether only spaces stand before it."""
        return not self.text[self.line_start(index) : index].strip(" ")

    def is_last_in_line(self, index: int) -> bool:
        """Whether only spaces stand from there on."""
        return not self.text[index : self.line_end(index)].strip()

    def is_blank(self, line: int) -> bool:
        """Whether the line that starts at `line` has nothing in it."""
        return self.is_last_in_line(line)

    def comment_column(self, line: int) -> int | None:
        """Column of a comment that is all of the line that starts at `line`; None if the line is something else."""
        content = self.text[line : self.line_end(line)]
        stripped = content.lstrip(" \t")
        return len(content) - len(stripped) if stripped.startswith("#") else None

    def indentation(self, line: int) -> int:
        """Number of spaces that the line that starts at `line` starts with."""
        content = self.text[line : self.line_end(line)]
        return len(content) - len(content.lstrip(" "))

    def column(self, index: int) -> int:
        """Number of characters before it in its line."""
        return index - self.line_start(index)

    def skip_blank(self, index: int) -> int:
        """Index of the next character that is no space, line break or comment."""
        found = _BLANK.match(self.text, index)
        return found.end() if found else index

    def after_comma(self, index: int) -> int:
        """Index after the comma that comes next; the same index, if something else does."""
        comma = self.skip_blank(index)
        return comma + 1 if self.text[comma : comma + 1] == "," else index

    def properties_end(self, node: Node) -> int:
        """Index after the anchor and tag of a node, and the spaces after them."""
        found = _PROPERTIES.match(self.text, node.start)
        return found.end() if found else node.start

    # Nodes

    def _node(self, event: Event) -> Node:
        start, end = _span(event)
        node = Node(kind="scalar", start=start, end=end, column=event.start_mark.column if event.start_mark else 0)
        match event:
            case AliasEvent():
                node.kind = "alias"
                node.target = self._anchors.get(str(event.anchor))
                node.text = node.target.text if node.target else ""
                self.aliases.append(node)
                return node
            case ScalarEvent() | CollectionStartEvent():
                node.anchor, node.tag = event.anchor, event.tag
        if node.anchor is not None:
            self._anchors[node.anchor] = node
        if isinstance(event, ScalarEvent):
            self._scalar(node, event)
        elif isinstance(event, CollectionStartEvent):
            self._collection(node, event)
        return node

    def _scalar(self, node: Node, event: ScalarEvent) -> None:
        node.text = event.value
        node.style = event.style or ""
        if node.style in {"|", ">"}:
            node.end = self._block_scalar_end(node)

    def _block_scalar_end(self, node: Node) -> int:
        """Blank lines after it are part of it only if it says so."""
        written = self.text[node.start : node.end]
        if _KEEPS_BLANK_LINES.match(self.text, self.properties_end(node)):
            return node.start + _LAST_BREAK.search(written).start()  # type: ignore[union-attr]  # always found
        return node.start + len(written.rstrip(f" \t{_BREAKS}"))

    def _collection(self, node: Node, start: CollectionStartEvent) -> None:
        is_mapping = isinstance(start, MappingStartEvent)
        node.kind = "mapping" if is_mapping else "sequence"
        node.is_flow = bool(start.flow_style)
        node.inside = after = _span(start)[1]
        if not is_mapping and not node.is_flow and after > node.start and self.text[after - 1] == "-":
            after -= 1  # of a list that is not indented, the mark is after the first dash
        for event in self._events:
            if isinstance(event, CollectionEndEvent):
                break
            value = self._node(event)
            entry = self._pair(after, value) if is_mapping else self._item(after, value, is_flow=node.is_flow)
            node.entries.append(entry)
            after = self.after_comma(entry.end) if node.is_flow else entry.end
        if node.is_flow:
            node.end = _span(event)[1]
        else:
            node.end = node.entries[-1].end
            node.column = self.column(node.entries[0].start)

    def _pair(self, after: int, key: Node) -> Entry:
        """The key and the value that follows it; `after` is the end of what stands before."""
        value = self._node(next(self._events))
        first = self.skip_blank(after)
        start = first if first < key.start and self.text[first] == "?" else key.start
        colon = self.skip_blank(key.end)
        has_head = self.text[colon : colon + 1] == ":"
        head_end = colon + 1 if has_head else key.end
        if value.start == value.end:  # not written
            value.start = value.end = head_end
        return Entry(start=start, head_end=head_end, has_head=has_head, key=key, value=value)

    def _item(self, after: int, value: Node, *, is_flow: bool) -> Entry:
        start = value.start if is_flow else self.skip_blank(after)
        head_end = start if is_flow else start + 1
        return Entry(start=start, head_end=head_end, has_head=not is_flow, key=None, value=value)


def _span(event: Event) -> tuple[int, int]:
    """Index of the first character of an event, and the one after its last."""
    assert event.start_mark is not None
    assert event.end_mark is not None
    return event.start_mark.index, event.end_mark.index

"""A YAML text changed so that it says other data, wherever it says something else, and nowhere else.

Rules
- What an alias or a merge key stands for is written out in its place when that is to differ from what it stands for:
  so a change where the alias is leaves alone what has the anchor, and a change there leaves alone what has the alias.
- The text is read again. Where it does not say the data yet, because an alias says what its anchor now does, it is
  changed again.
"""

import math
from collections.abc import Mapping, Sequence

from router.control.config.document import UnreadableError, read_document
from router.control.config.layout import Entry, Layout, Node
from router.control.config.render import Style
from router.control.config.splices import Splices, style_of

#: Each round leaves fewer aliases, or none to be changed.
_MAX_ROUNDS = 20


class RewriteError(Exception):
    """The text cannot say the data."""


def rewritten(text: str, before: Mapping[str, object], after: Mapping[str, object]) -> str:
    """The text, which says `before`, changed to say `after`.

    Raises:
        RewriteError: it cannot say it.
        RenderError: YAML cannot hold a value.
    """
    if same(before, after):
        return text
    changed = _changed(text, before, after)
    if not text or text[-1] in "\r\n":
        return changed
    shorter = changed.removesuffix(Layout(text).line_break)
    return shorter if _says(shorter, after) else changed


def same(one: object, other: object) -> bool:
    """Whether two values are the same to a reader of the file: 1 and 1.0 are, 1 and true are not."""
    if one is other:
        return True
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
        case list(), list():
            return len(one) == len(other) and all(map(same, one, other))
        case float(), float():
            return one == other or (math.isnan(one) and math.isnan(other))
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _changed(text: str, before: Mapping[str, object], after: Mapping[str, object]) -> str:
    now, layout = before, Layout(text)
    style = style_of(layout)
    for _ in range(_MAX_ROUNDS):
        text = _changed_once(layout, style, now, after)
        now = _read(text)
        if same(now, after):
            return text
        layout = Layout(text)
    raise RewriteError("the file's anchors and aliases are too entangled for this change; change it by hand")


def _changed_once(layout: Layout, style: Style, before: Mapping[str, object], after: Mapping[str, object]) -> str:
    lost: set[Node] = set()
    while True:
        splices = Splices(layout, style)
        _Difference(splices, lost).root(layout.root, before, after)
        more = splices.lost() - lost
        if not more:
            return splices.text()
        lost |= more


def _read(text: str) -> Mapping[str, object]:
    try:
        document = read_document(text)
    except UnreadableError as error:
        raise RewriteError(f"the change cannot be written: {error.message}") from error
    if document.flaws:
        raise RewriteError(f"the change cannot be written: {document.flaws[0].message}")
    return document.data


def _says(text: str, data: Mapping[str, object]) -> bool:
    try:
        return same(_read(text), data)
    except RewriteError:
        return False


class _Difference:
    """Goes through what is written, what it says, and what it shall say, side by side.

    Args:
        lost: What has an anchor that goes; an alias for it is written out.
    """

    def __init__(self, splices: Splices, lost: set[Node]) -> None:
        self._splices = splices
        self._lost = lost

    def root(self, node: Node | None, old: Mapping[str, object], new: Mapping[str, object]) -> None:
        if node is not None and node.kind == "mapping" and self._keeps(node, old, new):
            self._mapping(node, old, new)
        else:
            self._splices.set_root(new)

    def _value(self, parent: Node, entry: Entry, old: object, new: object) -> None:
        if old is new and not self._lost:
            return
        node = entry.value
        match node.kind, old, new:
            case "mapping", dict(), dict() if self._keeps(node, old, new):
                self._mapping(node, old, new)
            case "sequence", list(), list() if old and new:
                self._sequence(node, old, new)
            case _ if not same(old, new) or self._has_lost(entry):
                self._splices.set_value(parent, entry, new)

    def _keeps(self, node: Node, old: Mapping[str, object], new: Mapping[str, object]) -> bool:
        """Whether something of a mapping stays, so that it can be changed key by key."""
        own = _own(node)
        if node.is_bare:
            return own.keys() == new.keys()
        stays = any(name in new for name in own)
        return stays or (len(own) < len(node.entries) and any(name in new for name in old))

    def _mapping(self, node: Node, old: Mapping[str, object], new: Mapping[str, object]) -> None:
        own = _own(node)
        for name, entry in own.items():
            if name in new:
                self._value(node, entry, old[name], new[name])
        inherited = [name for name in old if name not in own]
        added = {name: value for name, value in new.items() if name not in own and _differs(name, value, old)}
        gone = [entry for name, entry in own.items() if name not in new]
        merges = [entry for entry in node.entries if entry.is_merge]
        if self._has_lost(*merges) or any(name not in new for name in inherited):
            pairs = {name: new[name] for name in inherited if name in new}
            self._splices.write_out(node, pairs)
            gone += merges[1:] if pairs else merges
            added = {}
        if gone:
            self._splices.remove(node, gone)
        elif added:  # otherwise in the next round: the place where they go may be what goes
            self._splices.add(node, added)

    def _has_lost(self, *entries: Entry) -> bool:
        """Whether an alias in their values is for something that goes."""
        return bool(self._lost) and any(target in self._lost for entry in entries for target in entry.value.targets())

    def _sequence(self, node: Node, old: Sequence[object], new: Sequence[object]) -> None:
        first = _same_at_start(old, new)
        rest = min(len(old), len(new)) - first
        last = min(rest, _same_at_start(old[::-1], new[::-1]))
        old_end, new_end = len(old) - last, len(new) - last
        changed = min(old_end, new_end)
        at_end = zip(range(old_end, len(old)), range(new_end, len(new)), strict=True)
        for old_index, new_index in [*((index, index) for index in range(changed)), *at_end]:
            self._value(node, node.entries[old_index], old[old_index], new[new_index])
        if new_end > changed:
            self._splices.add_items(node, changed, new[changed:new_end])
        elif old_end > changed:
            self._splices.remove(node, node.entries[changed:old_end])


def _own(node: Node) -> dict[str, Entry]:
    return {entry.name: entry for entry in node.entries if not entry.is_merge}


def _differs(name: str, value: object, old: Mapping[str, object]) -> bool:
    return name not in old or not same(value, old[name])


def _same_at_start(one: Sequence[object], other: Sequence[object]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (item, its) in pairs if not same(item, its)), min(len(one), len(other)))

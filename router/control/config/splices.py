"""Changes to the lines of a YAML text, each so small that what stands beside it stays as somebody has written it.

Rules
- What goes takes its own comments with it: those behind it in its lines, those below it that are indented further than
  its key, and those right above it, unless the next key follows without a comment or a blank line between: then they
  may be about both. Above the first key they go only if the next has some of its own.
- What comes into a mapping in lines comes last, but what fits in one line comes before the long ones that end it.
- A collection stays in brackets if it is, and in lines if it is.
"""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

from router.control.config.layout import Entry, Layout, Node
from router.control.config.render import (
    Rendered,
    Style,
    inline,
    inline_pairs,
    list_lines,
    mapping_lines,
    render,
)


class _Splice(NamedTuple):
    """New text in place of what is from `start` to before `end`."""

    start: int
    end: int
    text: str


class Splices:
    """Collects changes to a text; what they are about must not overlap."""

    def __init__(self, layout: Layout, style: Style) -> None:
        self._layout = layout
        self._style = style
        self._splices: list[_Splice] = []
        self._gone: list[Node] = []

    def text(self) -> str:
        """The text with all changes."""
        text, line_break = self._layout.text, self._layout.line_break
        changed, at = "", 0
        for splice in sorted(self._splices, key=lambda splice: splice[:2]):
            changed += text[at : splice.start]
            if splice.start == len(text) and splice.text.endswith(line_break) and changed[-1:] not in {"", "\r", "\n"}:
                changed += line_break  # lines below a last line that does not end
            changed += splice.text
            at = max(at, splice.end)
        return changed + text[at:]

    def lost(self) -> set[Node]:
        """What had an anchor and is gone, while an alias for it stays."""
        return {
            alias.target
            for alias in self._layout.aliases
            if alias.target is not None and self._is_gone(alias.target) and not self._is_gone(alias)
        }

    def _is_gone(self, node: Node) -> bool:
        return any(gone.start <= node.start and node.end <= gone.end for gone in self._gone)

    # Values

    def set_value(self, parent: Node, entry: Entry, value: object) -> None:
        """Write a value in place of the one that an entry has."""
        old = entry.value
        self._gone.append(old)
        quote = old.style if old.style in {"'", '"'} else ""
        if parent.is_flow:
            self._set_head(parent, entry, inline(value, self._style, quote=quote, is_inside=True))
            return
        rendered = self._rendered(parent, entry, value, quote)
        if self._is_below(entry):
            self._set_over_lines(parent, entry, rendered)
        else:
            self._set_over_inline(parent, entry, rendered)

    def _rendered(self, parent: Node, entry: Entry, value: object, quote: str) -> Rendered:
        old = entry.value
        if old.is_flow and old.entries and isinstance(value, dict | list):
            return Rendered(inline(value, self._style))
        # The lines of an item must be further to the right than its dash.
        style = self._style if parent.kind == "mapping" else replace(self._style, dash=self._style.indent)
        rendered = render(value, style, key=entry.name, quote=quote)
        if rendered.head and rendered.lines and self._has_comment_below(entry):
            return Rendered(inline(value, self._style))  # in a text in lines it would become part of the text
        return rendered

    def _is_below(self, entry: Entry) -> bool:
        """Whether a value is written in the lines below its key or dash."""
        value = entry.value
        return value.is_block and self._layout.line_start(value.entries[0].start) > entry.head_end

    def _has_comment_below(self, entry: Entry) -> bool:
        """Whether a comment would follow right below the lines of a value, further to the right than its key."""
        layout, value = self._layout, entry.value
        end = self._lines_end(entry.end, layout.column(entry.start))
        if self._is_below(entry):
            first = layout.line_start(value.entries[0].start)
            return first > layout.next_line(entry.head_end) or end > self._lines_end(value.end, value.column)
        return end > layout.next_line(entry.end)

    def _set_over_lines(self, parent: Node, entry: Entry, rendered: Rendered) -> None:
        layout, old = self._layout, entry.value
        first = layout.line_start(old.entries[0].start)
        head_end = entry.head_end
        if old.start <= layout.line_end(head_end):  # an anchor, or a tag
            head_end = len(layout.text[: layout.properties_end(old)].rstrip(" \t"))
        else:
            first = min(first, layout.line_start(old.start))
        self._put(entry.head_end, head_end, f" {rendered.head}" if rendered.head else "")
        self._put(first, self._lines_end(old.end, old.column), "")
        self._put_lines(layout.next_line(entry.head_end) if rendered.head else first, entry, rendered.lines)

    def _set_over_inline(self, parent: Node, entry: Entry, rendered: Rendered) -> None:
        layout, old = self._layout, entry.value
        if rendered.head:
            self._set_head(parent, entry, rendered.head)
        elif layout.line_end(entry.head_end) >= old.start:
            self._put(entry.head_end, entry.end, "" if entry.has_head else self._colon(parent, entry))
        elif layout.is_first_in_line(old.start) and layout.is_last_in_line(old.end):
            self._put(layout.line_start(old.start), layout.next_line(old.end), "")
        else:
            self._put(old.start, old.end, "")
        self._put_lines(layout.next_line(entry.end), entry, rendered.lines)

    def _set_head(self, parent: Node, entry: Entry, text: str) -> None:
        """Write something in the line of a key, a dash or an item."""
        old = entry.value
        if old.start < old.end:
            self._put(old.start, old.end, text)
        else:
            self._put(entry.head_end, entry.head_end, f"{'' if entry.has_head else self._colon(parent, entry)} {text}")

    def _colon(self, parent: Node, entry: Entry) -> str:
        """For a key that has none: `{key}`, or `? key`."""
        if parent.is_flow:
            return ":"
        return f"{self._layout.line_break}{' ' * self._layout.column(entry.start)}:"

    def set_root(self, value: Mapping[str, object]) -> None:
        """Write a mapping in place of the whole document; comments around it stay."""
        layout, root = self._layout, self._layout.root
        lines = list(mapping_lines(value, self._style)) if value else ["{}"]
        if root is None or root.start == root.end:
            self._put(layout.end, layout.end, self._lines(lines, 0) if value else "")
            return
        self._gone.append(root)
        if root.is_block:
            first = layout.line_start(root.entries[0].start)
            self._put(first, layout.next_line(root.end), self._lines(lines, 0))
        elif root.is_flow and root.entries and value:
            self._put(root.start, root.end, inline(value, self._style))
        else:
            text = layout.line_break.join(lines)
            self._put(root.start, root.end, text if layout.is_first_in_line(root.start) else layout.line_break + text)

    # Entries

    def add(self, mapping: Node, pairs: Mapping[str, object]) -> None:
        """Write keys that a mapping does not have; it has others."""
        if mapping.is_flow:
            texts = list(inline_pairs(pairs, self._style))
            self._add_inside(mapping, mapping.entries[-1], texts)
            return
        short = {key: value for key, value in pairs.items() if not render(value, self._style, key=key).lines}
        long = {key: value for key, value in pairs.items() if key not in short}
        self._add_lines(mapping, self._last_short(mapping), mapping_lines(short, self._style))
        self._add_lines(mapping, mapping.entries[-1], mapping_lines(long, self._style))

    def add_items(self, sequence: Node, before: int, items: Iterable[object]) -> None:
        """Write items into a list that has some, so that the first gets the index `before`."""
        entries = sequence.entries
        if sequence.is_flow:
            texts = [inline(item, self._style, is_inside=True) for item in items]
            if before:
                self._add_inside(sequence, entries[before - 1], texts)
            else:
                self._put(entries[0].start, entries[0].start, "".join(f"{text}, " for text in texts))
        elif before:
            self._add_lines(sequence, entries[before - 1], list_lines(items, self._style))
        else:
            lines = self._lines(list_lines(items, self._style), sequence.column)
            # The first dash keeps its place; in `- - a` something else stands before it.
            self._put(entries[0].start, entries[0].start, lines.lstrip(" ") + " " * sequence.column)

    def _add_inside(self, collection: Node, last: Entry, texts: Sequence[str]) -> None:
        """Write something into brackets, behind an entry of them."""
        layout = self._layout
        after = layout.after_comma(last.end)
        if not layout.is_first_in_line(last.start) or not self._has_only_comment(after):
            self._put(last.end, last.end, "".join(f", {text}" for text in texts))
            return
        # One entry per line.
        if after == last.end:
            self._put(last.end, last.end, ",")
        is_last = last is collection.entries[-1]
        ends = [*["," for _ in texts[1:]], "," if after > last.end or not is_last else ""]
        lines = [text + end for text, end in zip(texts, ends, strict=True)]
        below = layout.next_line(after)
        self._put(below, below, self._lines(lines, layout.column(last.start)))

    def _has_only_comment(self, index: int) -> bool:
        """Whether nothing but a comment stands in the rest of a line."""
        rest = self._layout.text[index : self._layout.line_end(index)].strip()
        return not rest or rest.startswith("#")

    def _last_short(self, mapping: Node) -> Entry:
        """The entry behind which a short one goes: the last in one line, or the last of all if none is."""
        short = [entry for entry in mapping.entries if not entry.value.is_block]
        return short[-1] if short else mapping.entries[-1]

    def _add_lines(self, collection: Node, last: Entry, lines: Iterable[str]) -> None:
        """Write lines below an entry of a collection in lines."""
        text = self._lines(lines, collection.column)
        at = self._lines_end(last.end, collection.column)
        if last is collection.entries[-1]:
            at = self._comments_end(at, collection.column)
            if text and self._is_spaced(collection):
                text = self._layout.line_break + text
        self._put(at, at, text)

    def _comments_end(self, line: int, column: int) -> int:
        """Start of the line after comments at the end of a collection; they may also be about what comes after it."""
        layout, end = self._layout, line
        while (comment := layout.comment_column(end)) is not None and comment >= column:
            end = layout.next_line(end)
        is_about_next = end < len(layout.text) and not layout.is_blank(end) and layout.indentation(end) >= column
        return line if is_about_next else end

    def _is_spaced(self, collection: Node) -> bool:
        """Whether a blank line stands before the last of several entries."""
        layout = self._layout
        if len(collection.entries) < 2:
            return False
        above = layout.line_before(self._heading(collection.entries[-1]))
        return above is not None and layout.is_blank(above)

    def remove(self, collection: Node, entries: Container[Entry]) -> None:
        """Take entries away, but not the last that a collection has."""
        runs = [(gone, list(run)) for gone, run in groupby(collection.entries, lambda entry: entry in entries)]
        self._gone += [node for gone, run in runs if gone for entry in run for node in (entry.key, entry.value) if node]
        for index, (gone, run) in enumerate(runs):
            if not gone:
                continue
            before = runs[index - 1][1][-1] if index else None
            after = runs[index + 1][1][0] if index + 1 < len(runs) else None
            if collection.is_flow:
                self._remove_inside(run, before, after)
            elif after is not None and not self._layout.is_first_in_line(run[0].start):
                self._remove_behind_dash(run, after)
            else:
                self._remove_lines(collection, run, before, after)

    def _remove_inside(self, run: Sequence[Entry], before: Entry | None, after: Entry | None) -> None:
        layout = self._layout
        end = layout.after_comma(run[-1].end)
        if layout.is_first_in_line(run[0].start) and self._has_only_comment(end):
            self._put(layout.line_start(run[0].start), layout.next_line(end), "")
        elif after is not None:
            self._put(run[0].start, after.start, "")
        elif before is not None:
            self._put(before.end, run[-1].end, "")

    def _remove_behind_dash(self, run: Sequence[Entry], after: Entry) -> None:
        """The first entries of a mapping in a list, or of a list in a list: `- key: value`."""
        layout = self._layout
        heading = self._heading(after)
        if heading == layout.line_start(after.start):
            self._put(run[0].start, after.start, "")
        else:
            dash_end = len(layout.text[: run[0].start].rstrip(" "))
            self._put(dash_end, heading, layout.line_break)

    def _remove_lines(self, collection: Node, run: Sequence[Entry], before: Entry | None, after: Entry | None) -> None:
        layout = self._layout
        start = layout.line_start(run[0].start)
        if after is None or self._is_apart(after, from_heading=before is None):
            start = self._heading(run[0])
        end = self._lines_end(run[-1].end, collection.column)
        floor = before.end if before else 0
        if end == len(layout.text) or layout.is_blank(end):
            while (above := layout.line_before(start)) is not None and above >= floor and layout.is_blank(above):
                start = above
        self._put(start, end, "")

    def _is_apart(self, entry: Entry, *, from_heading: bool) -> bool:
        """Whether a comment above the entry before cannot be about this one too.

        Args:
            from_heading: Whether that comment stands above the first entry of all.
        """
        layout = self._layout
        above = layout.line_before(layout.line_start(entry.start))
        if above is None:
            return False
        return layout.comment_column(above) is not None or (layout.is_blank(above) and not from_heading)

    def write_out(self, mapping: Node, pairs: Mapping[str, object]) -> None:
        """Write keys in place of the first merge key of a mapping."""
        if not pairs:
            return
        merge = next(entry for entry in mapping.entries if entry.is_merge)
        self._gone.append(merge.value)
        if mapping.is_flow:
            self._put(merge.start, merge.end, ", ".join(inline_pairs(pairs, self._style)))
        else:
            lines = self._lines(mapping_lines(pairs, self._style), mapping.column)
            self._put(merge.start, self._layout.next_line(merge.end), lines.lstrip(" "))

    # Lines

    def _heading(self, entry: Entry) -> int:
        """Start of the first of the comment lines right above an entry, or of its own line."""
        layout = self._layout
        start, column = layout.line_start(entry.start), layout.column(entry.start)
        while (above := layout.line_before(start)) is not None and layout.comment_column(above) == column:
            start = above
        return start

    def _lines_end(self, index: int, column: int) -> int:
        """Start of the line after the one of `index` and after the comments below that are right of `column`."""
        layout = self._layout
        line = end = layout.next_line(index)
        while line < len(layout.text):
            comment = layout.comment_column(line)
            if comment is not None and comment > column:
                end = layout.next_line(line)
            elif not layout.is_blank(line):
                break
            line = layout.next_line(line)
        return end

    def _lines(self, lines: Iterable[str], column: int) -> str:
        return "".join(f"{' ' * column if line else ''}{line}{self._layout.line_break}" for line in lines)

    def _put_lines(self, at: int, entry: Entry, lines: Sequence[str]) -> None:
        if lines:
            self._put(at, at, self._lines(lines, self._layout.column(entry.start)))

    def _put(self, start: int, end: int, text: str) -> None:
        if start < end or text:
            self._splices.append(_Splice(start, end, text))


def style_of(layout: Layout) -> Style:
    """How a text writes things, as far as it shows."""
    indents: Counter[int] = Counter()
    dashes: Counter[int] = Counter()
    flow: dict[str, bool] = {}
    root = layout.root
    for parent, entry in _pairs(root) if root is not None else ():
        value = entry.value
        if value.is_collection and value.entries:
            flow[entry.name] = value.is_flow
        if parent.is_block and value.is_block:
            (indents if value.kind == "mapping" else dashes)[value.column - parent.column] += 1
    indent = indents.most_common(1)[0][0] if indents else 2
    return Style(
        indent=indent,
        dash=dashes.most_common(1)[0][0] if dashes else indent,
        flow=flow,
        is_json=root is not None and _is_json(root),
    )


def _pairs(node: Node) -> Iterator[tuple[Node, Entry]]:
    """Every key of every mapping, with the mapping."""
    for entry in node.entries:
        if entry.key is not None:
            yield node, entry
        yield from _pairs(entry.value)


def _is_json(root: Node) -> bool:
    keys = [entry.key for entry in root.entries if entry.key is not None]
    return root.is_flow and bool(keys) and all(key.style == '"' for key in keys)

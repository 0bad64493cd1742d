"""Options with a grammar of their own: `--set`, `--remove`, `--traffic`, `--tags`."""

import argparse
import json
import math
from collections.abc import Iterable, Mapping, Sequence

from router.cli.field_kinds import is_text, is_unknown
from router.control.commands.definitions import split
from router.control.config.document import KeyPath, UnreadableError, read_document
from router.control.refusal import Invalid

#: A value that begins so is YAML or JSON; another one is a number, true, false, null, or text.
_STRUCTURED = ("{", "[", "'", '"')


class _Gather(argparse.Action):
    """An option that takes several values and may be given several times; all of them are read together.

    Without a value, or with an empty one, there is nothing in it.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        words = [*getattr(namespace, f"_words_of_{self.dest}", ()), *map(str, values or ())]
        setattr(namespace, f"_words_of_{self.dest}", words)
        try:
            setattr(namespace, self.dest, self.read(map(_utf8, words)))
        except ValueError as error:
            raise argparse.ArgumentError(self, str(error)) from error

    def read(self, words: Iterable[str]) -> object:
        """What the words mean.

        Raises:
            ValueError: nothing; the message says what would be right.
        """
        raise NotImplementedError


class SetFields(_Gather):
    """`a.b.c=value ...`: values by dotted field."""

    def read(self, words: Iterable[str]) -> dict[str, object]:
        return dict(map(_assignment, words))


class RemoveFields(_Gather):
    """`a.b.c ...`: dotted fields; a number after one, as az has it, is the place in its list."""

    def read(self, words: Iterable[str]) -> tuple[str, ...]:
        fields: list[str] = []
        for word in words:
            if word.isdigit() and fields:
                fields[-1] += f".{word}"
            else:
                fields.append(_field(word))
        return tuple(fields)


class Weights(_Gather):
    """`blue=90 green=10`: percent by deployment."""

    def read(self, words: Iterable[str]) -> dict[str, float]:
        weights: dict[str, float] = {}
        for word in " ".join(words).replace(",", " ").split():
            name, _, percent = word.partition("=")
            if name in weights:
                raise ValueError(f"{name} is given twice")
            weights[name] = _percent(word, name, percent)
        return weights


class LiveWeights(Weights):
    """The same of live traffic, where no weights are a slip: a shell variable that is not set has gone offline so."""

    def read(self, words: Iterable[str]) -> dict[str, float]:
        weights = super().read(words)
        if not weights:
            raise ValueError('empty; expected such as "blue=90 green=10", or "blue=0" to switch the endpoint off')
        return weights


class Tags(_Gather):
    """`owner=me stage=test`: texts by name."""

    def read(self, words: Iterable[str]) -> dict[str, str]:
        pairs = [word.partition("=") for word in words if word]
        for name, equals, _ in pairs:
            if not name or not equals:
                raise ValueError(f"{name!r} is not NAME=VALUE; expected such as owner=me")
        return {name: value for name, _, value in pairs}


def value_for(path: KeyPath, text: str) -> object:
    """What `--set` puts into a field: the text itself where the field has text, elsewhere what it looks like.

    In a structure that only Azure knows, `3.10` may be a version: a number is one there if it is written as itself.

    Raises:
        ValueError: it begins as something structured and is not.
    """
    if is_text(path):
        return text
    value = typed(text)
    return text if isinstance(value, float) and is_unknown(path) and json.dumps(value) != text else value


def typed(text: str) -> object:
    """A value by its looks: `2`, `true`, `null`, `{a: 1}` and `[1, 2]` are what they look like.

    Everything else is text; so is what stands in quotes, such as `'"2"'`.

    Raises:
        ValueError: it begins as something structured and is not.
    """
    if text.startswith(_STRUCTURED):
        return _structured(text)
    try:
        return json.loads(text, parse_float=_finite, parse_constant=_not_json)
    except ValueError:
        return text


def is_utf8(text: str) -> bool:
    """Whether an argument is text, not bytes that only a file name may have."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _structured(text: str) -> object:
    try:
        document = read_document(f"value: {text}")
    except UnreadableError as error:
        raise ValueError(f"{text!r} is neither YAML nor JSON: {error.message}") from error
    if document.flaws or len(document.data) > 1:
        message = document.flaws[0].message if document.flaws else "more than one value"
        raise ValueError(f"{text!r}: {message}")
    return document.data["value"]


def _assignment(word: str) -> tuple[str, object]:
    field, equals, text = word.partition("=")
    if not equals:
        raise ValueError(f"{word!r} is not FIELD=VALUE; expected such as instance_count=2 or tags.owner=me")
    try:
        return _field(field), value_for(split(field), text)
    except ValueError as error:
        raise ValueError(f"{field}: {error}" if field else f"{word!r} names no field") from error


def _field(text: str) -> str:
    try:
        split(text)
    except Invalid as error:
        raise ValueError(f"{text!r} is not a field; expected one such as tags.owner") from error
    return text


def _percent(word: str, name: str, text: str) -> float:
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = math.nan
    if not name or not math.isfinite(percent):
        raise ValueError(f'{word!r} is not DEPLOYMENT=PERCENT; expected such as "blue=90 green=10"')
    return int(percent) if percent == int(percent) else percent


def _utf8(word: str) -> str:
    if not is_utf8(word):
        raise ValueError(f"{word!r} is not UTF-8 text")
    return word


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)  # more than a number can be
    return number


def _not_json(word: str) -> Mapping[str, object]:
    raise ValueError(word)

"""What a query in PromQL names: series, labels and their values, and which of these do not exist."""

import re
from collections.abc import Iterator, Mapping

import promql_parser as promql

#: Label values that a series has been seen with, by label and name of the series.
Series = Mapping[str, Mapping[str, set[str]]]

#: What Prometheus itself adds to everything that it scrapes.
ADDED = frozenset({"job", "instance"})
_OWN = {"up": ADDED}
#: Labels whose values are known beforehand, so that a value can be misspelt.
_CLOSED = frozenset({"reason", "outcome", "state", "route"})
_WORDS = re.compile(r"\w+(\|\w+)*")
_DURATION = re.compile(r"\$__\w+")


class Query:
    """One query, looked at beside the series that there are.

    Attributes:
        labels: That a result may have.
        problems: What it names that does not exist, one line each.
        metrics: The series that it names.
    """

    def __init__(self, text: str, known: Series) -> None:
        self._known = known
        self.metrics: set[str] = set()
        self.problems: list[str] = []
        self.labels = self._look(promql.parse(_DURATION.sub("5m", text)))

    def lacks(self, labels: set[str]) -> set[str]:
        """Those of `labels` that no result has."""
        return labels - self.labels

    def _look(self, expression: promql.Expr) -> frozenset[str]:
        """Labels of a result of `expression`."""
        match expression:
            case promql.VectorSelector() | promql.MatrixSelector():
                return self._look_at_series(getattr(expression, "vector_selector", expression))
            case promql.AggregateExpr():
                return self._look_at_aggregate(expression)
            case promql.BinaryExpr():
                return self._look_at_both(expression)
            case promql.Call():
                return frozenset().union(*map(self._look, expression.args))
            case promql.ParenExpr() | promql.SubqueryExpr() | promql.UnaryExpr():
                return self._look(expression.expr)
            case promql.NumberLiteral() | promql.StringLiteral():
                return frozenset()
        raise AssertionError(f"a kind of expression that is not looked into: {type(expression).__name__}")

    def _look_at_series(self, selector: promql.VectorSelector) -> frozenset[str]:
        name = selector.name
        if name in _OWN:
            return _OWN[name]
        self.metrics.add(name)
        if name not in self._known:
            self.problems.append(f"there is no series {name}")
            return frozenset()
        values = self._known[name]
        for matcher in selector.matchers.matchers:
            if matcher.name not in values.keys() | ADDED:
                self.problems.append(f"{name} has no label {matcher.name}")
            elif matcher.name in _CLOSED:
                self.problems += _unknown_values(name, matcher, values[matcher.name])
        return frozenset(values) | ADDED

    def _look_at_aggregate(self, aggregate: promql.AggregateExpr) -> frozenset[str]:
        inner = self._look(aggregate.expr)
        if aggregate.modifier is None:
            return frozenset()
        named = frozenset(aggregate.modifier.labels)
        self.problems += [f"{label} is no label of what is grouped by it" for label in sorted(named - inner)]
        return named if aggregate.modifier.type == promql.AggModifierType.By else inner - named

    def _look_at_both(self, both: promql.BinaryExpr) -> frozenset[str]:
        sides = self._look(both.lhs), self._look(both.rhs)
        matching = both.modifier.matching if both.modifier is not None else None
        for label in matching.labels if matching is not None else ():
            if any(side and label not in side for side in sides):
                self.problems.append(f"{label} is no label of both sides that are matched on it")
        return sides[0] | sides[1]


def _unknown_values(name: str, matcher: promql.Matcher, known: set[str]) -> Iterator[str]:
    if _WORDS.fullmatch(matcher.value):
        for value in matcher.value.split("|"):
            if value not in known:
                yield f"{name} has no {matcher.name} {value}"

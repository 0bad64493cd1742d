"""The dashboard keeps to Grafana's model of a dashboard, as far as that is documented.

Source: Grafana documentation, "Dashboard JSON model"; the grid has 24 columns.
"""

import re
from itertools import combinations
from typing import Any

from tests.monitoring.files import dashboard, panels, targets

COLUMNS = 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_VARIABLE = re.compile(r"\$\{?(?!__)(\w+)")


def overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    a, b = one["gridPos"], other["gridPos"]
    apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
    return not apart and not (a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"])


def test_the_model_has_what_grafana_reads() -> None:
    """Title, schema, time and variables are where they belong."""
    model = dashboard()
    assert (model["title"], model["uid"], model["schemaVersion"]) == ("teal", "teal", 39)
    assert model["time"] == {"from": "now-1h", "to": "now"}
    assert [variable["name"] for variable in model["templating"]["list"]] == ["datasource", "instance", "endpoint"]


def test_every_panel_has_an_id_and_a_place_of_its_own() -> None:
    """None lies over another or beyond the last column, and no two have the same id."""
    every = dashboard()["panels"]
    ids = [panel["id"] for panel in every]
    assert len(set(ids)) == len(ids)
    assert [panel["title"] for panel in every if panel["gridPos"]["x"] + panel["gridPos"]["w"] > COLUMNS] == []
    assert [(a["title"], b["title"]) for a, b in combinations(every, 2) if overlap(a, b)] == []


def test_every_panel_says_what_it_shows_and_asks_the_chosen_source() -> None:
    """Type, title, description, unit; the data source is a variable, so that the file can be imported anywhere."""
    for panel in panels():
        assert panel["type"] in {"timeseries", "stat"}, panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]
        assert panel["datasource"] == SOURCE, panel["title"]
    assert [title for title, target in targets() if target["datasource"] != SOURCE] == []


def test_the_queries_of_a_panel_have_names_of_their_own() -> None:
    """Grafana tells them apart by `refId`."""
    for panel in panels():
        names = [target["refId"] for target in panel["targets"]]
        assert len(set(names)) == len(names), panel["title"]


def test_every_variable_that_is_used_is_there() -> None:
    """In queries, and in the queries that fill variables."""
    variables = dashboard()["templating"]["list"]
    queries = [target["expr"] for _, target in targets()]
    queries += [each["query"]["query"] for each in variables if each["type"] == "query"]
    used = {name for query in queries for name in _VARIABLE.findall(query)}
    assert used == {each["name"] for each in variables} - {"datasource"}

"""The API description without decorators."""

import json

import pytest

from workers.swagger import Swagger


def run(data):
    """Stand for a plain run()."""


def test_a_plain_run_takes_any_object(tmp_path):
    """Without decorators nothing is known of input and output."""
    document = json.loads(Swagger(run, tmp_path).answer(None).body)
    assert document["definitions"]["ServiceInput"] == {"type": "object", "example": {}}
    assert sorted(document["paths"]) == ["/", "/score"]


@pytest.mark.parametrize(
    ("file", "version"), [("swagger.json", "2"), ("swagger2.json", None), ("swagger3.json", "3.0")]
)
def test_the_scripts_own_file_wins(tmp_path, file, version):
    """A file in the code folder is answered as it is."""
    (tmp_path / file).write_text('{"own": 1}')
    assert Swagger(run, tmp_path).answer(version).body == b'{"own":1}'


def test_an_unknown_version_is_not_found(tmp_path):
    """404 names the versions there are."""
    answer = Swagger(run, tmp_path).answer("4")
    assert (answer.status, json.loads(answer.body)["message"]) == (
        404,
        "Swagger version [4] is not supported. Supported versions: [2, 3, 3.1].",
    )


def test_a_description_that_is_no_json_is_an_error(tmp_path):
    """Better no start than a wrong description."""
    (tmp_path / "swagger.json").write_text("{")
    with pytest.raises(ValueError, match="Expecting property name"):
        Swagger(run, tmp_path)

"""From what run() returned to the answer."""

import json

import numpy as np
import pytest

from workers import encode


@pytest.fixture(params=["orjson", "json"], autouse=True)
def encoder(request, monkeypatch):
    """Every test with orjson and, as in an environment without it, with the standard library."""
    if request.param == "json":
        monkeypatch.setattr(encode, "orjson", None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", b'"text"'),
        ('{"a": 1}', b'"{\\"a\\": 1}"'),
        (True, b"true"),
        ([1, 2.5, None], b"[1,2.5,null]"),
        ((1, 2), b"[1,2]"),
        ({"a": {"b": []}}, b'{"a":{"b":[]}}'),
        ({1: "a"}, b'{"1":"a"}'),
        (2**70, b"1180591620717411303424"),
        (float("nan"), b"null"),
        ([float("inf"), {"a": float("-inf")}], b'[null,{"a":null}]'),
        ("\ud800", b'"\\ud800"'),
        (np.arange(3), b"[0,1,2]"),
        (np.array([[1.5, np.nan]]), b"[[1.5,null]]"),
        (np.arange(6).reshape(2, 3).T, b"[[0,3],[1,4],[2,5]]"),
        (np.array(["a", "b"]), b'["a","b"]'),
        ({"score": np.float32(0.5), "n": np.int64(7), "ok": np.bool_(True)}, b'{"score":0.5,"n":7,"ok":true}'),
    ],
)
def test_values_become_json(value, expected):
    """Compact, numpy included; what JSON cannot say is null."""
    assert encode.encode_json(value) == expected


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", {"a": object()}])
def test_a_value_without_json_form_is_an_error(value):
    """The type is named."""
    with pytest.raises(TypeError, match="which has no JSON form"):
        encode.encode_json(value)


def test_text_beyond_ascii_is_kept():
    """Whatever the encoder, a reader gets the same text."""
    assert json.loads(encode.encode_json("grün 猫")) == "grün 猫"


def test_none_is_an_empty_object():
    """As Azure answers a run() without return."""
    answer = encode.encode_result(None, 1.23456)
    assert answer == encode.Answer(
        200,
        b"Content-Type: application/json\r\nx-ms-run-function-failed: False\r\nx-ms-run-fn-exec-ms: 1.235\r\n",
        b"{}",
    )


class WerkzeugLike:
    """What a Flask response looks like from outside."""

    def __init__(self, status_code: int) -> None:
        self.status_code = status_code
        self.headers = {"Content-Type": "text/plain", "Content-Length": "4"}

    def get_data(self) -> bytes:
        """Return the body."""
        return b"body"


def test_a_flask_response_passes_through():
    """Azure hands through any of Flask's responses, not only AMLResponse."""
    answer = encode.encode_result(WerkzeugLike(202), 0.5)
    assert answer == encode.Answer(202, b"Content-Type: text/plain\r\nx-ms-run-fn-exec-ms: 0.500\r\n", b"body")


@pytest.mark.parametrize("status", [0, 100, 199, 600])
def test_a_status_that_no_answer_has_is_an_error(status):
    """1xx would leave the client waiting."""
    with pytest.raises(ValueError, match=f"status {status}, expected 200 to 599"):
        encode.encode_result(WerkzeugLike(status), 0.5)

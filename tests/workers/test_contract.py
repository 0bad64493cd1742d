"""How run() is called: its signature and its `inference_schema` decorators."""

import json

import pytest
from multidict import CIMultiDict

from workers.contract import Contract, ContractError, title_cased
from workers.request import ScoreRequest


def post(body: bytes, **headers: str) -> ScoreRequest:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return ScoreRequest("POST", "/score", raw, body)


def test_the_first_parameter_gets_the_text():
    """Whatever its name, and by keyword."""
    assert Contract(lambda *, payload, extra=1: None).arguments(post(b"x")) == {"payload": "x"}


def test_request_headers_may_come_first():
    """The input is the first parameter that is not called request_headers."""
    contract = Contract(lambda request_headers, data: None)
    assert contract.arguments(post(b"x", a="1")) == {"data": "x", "request_headers": {"A": "1"}}


@pytest.mark.parametrize(
    "run",
    [lambda: None, lambda request_headers: None, lambda *a: None, lambda **k: None, lambda a, /: None],
)
def test_a_run_that_cannot_be_called_is_refused(run):
    """Found at the start, not with the first request."""
    with pytest.raises(ContractError):
        Contract(run)


def test_headers_are_named_as_wsgi_names_them():
    """Title case, whatever the client sent; repeated ones joined by a comma."""
    headers = CIMultiDict([("x-ms-TRACE", "1"), ("accept", "a"), ("Accept", "b")])
    assert title_cased(headers) == {"X-Ms-Trace": "1", "Accept": "a,b"}


SCHEMA = """
import numpy
from inference_schema.schema_decorators import input_schema, output_schema
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
def init(): pass
@input_schema("data", NumpyParameterType(numpy.array([[1, 2]])))
@input_schema("factor", StandardPythonParameterType(1))
@output_schema(NumpyParameterType(numpy.array([2])))
def run(data, factor=10):
    return [type(data).__name__, (data.sum(axis=1) * factor).tolist()]
"""


@pytest.fixture(scope="module")
def worker(start_shared):
    """A worker with a decorated run()."""
    pytest.importorskip("inference_schema")
    return start_shared(SCHEMA)


@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
async def test_a_decorated_run_gets_values_by_name(worker, kind):
    """A JSON object, converted to the types of the decorators, whatever the Content-Type."""
    reply = await worker.score(b'{"data": [[1, 2], [3, 4]], "factor": 2}', Content_Type=kind)
    assert json.loads(reply.body) == ["ndarray", [6, 14]]


async def test_a_missing_value_takes_its_default(worker):
    """As in Python."""
    assert json.loads((await worker.score(b'{"data": [[1, 2]]}')).body) == ["ndarray", [30]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"factor": 2}', "A value is not provided for the 'data' parameter."),
        (b"[1]", "POST body should be a JSON dictionary."),
        (b"", "POST body is empty. Expecting a JSON dictionary."),
        (b"{", "POST body could not be decoded as JSON: Expecting property name"),
        (b"\xff", "POST body could not be decoded as JSON: "),
        (b"[" * 100_000, "POST body could not be decoded as JSON: "),
    ],
)
async def test_a_body_that_does_not_fit_is_a_400(worker, body, message):
    """The client learns what is wrong; the script never runs."""
    reply = await worker.score(body)
    assert reply.status == 400
    assert json.loads(reply.body)["message"].startswith(message)


async def test_get_hands_the_query_to_a_decorated_run(worker):
    """Values of the query by name."""
    reply = await worker.request("GET", "/score?data=[[1,2]]&factor=3")
    assert json.loads(reply.body) == ["ndarray", [9]]


@pytest.mark.parametrize(
    ("query", "key", "version"),
    [
        ("", "swagger", "2.0"),
        ("?version=2", "swagger", "2.0"),
        ("?version=3", "openapi", "3.0.0"),
        ("?version=3.1", "openapi", "3.1.0"),
    ],
)
async def test_the_api_is_described_from_the_decorators(worker, query, key, version):
    """Each version has the input's and the output's schema."""
    document = json.loads((await worker.request("GET", f"/swagger.json{query}")).body)
    schemas = document["definitions"] if key == "swagger" else document["components"]["schemas"]
    assert document[key] == version
    assert schemas["ServiceInput"]["properties"]["factor"]["type"] == "integer"
    assert schemas["ServiceOutput"]["type"] == "array"

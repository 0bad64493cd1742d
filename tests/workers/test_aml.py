"""Raw requests and responses, as scripts import them from `azureml.contrib.services`."""

import json

import pytest

RAW = """
from azureml.contrib.services.aml_request import AMLRequest, rawhttp
from azureml.contrib.services.aml_response import AMLResponse
def init(): pass
@rawhttp
def run(request):
    return eval(request.headers["X-Returns"], {**globals(), "request": request})
"""


@pytest.fixture(scope="module")
def worker(start_shared):
    """A worker whose raw run() returns the value of the expression in the header X-Returns."""
    return start_shared(RAW)


async def test_rawhttp_gets_the_request(worker):
    """The object has what Flask's request has."""
    returns = """[
        isinstance(request, AMLRequest), request.method, request.path, request.full_path, request.url,
        request.args["a"], request.args.getlist("a"), request.args.get("b", 0, type=int), request.args.get("c"),
        request.query_string.decode(), request.headers["X-THING"], request.headers.get("x-none", "d"),
        request.content_type, request.mimetype, request.is_json, request.json, request.get_json()["k"],
        request.get_data(as_text=True), list(request.get_data())[:2], request.content_length,
        request.stream.read(2).decode()]
    """
    reply = await worker.request(
        "POST",
        "/score?a=1&a=2&b=3",
        data=b'{"k": 1}',
        headers={
            "X-Thing": "t",
            "Content-Type": "application/json; charset=utf-8",
            "X-Returns": " ".join(returns.split()),
        },
    )
    assert json.loads(reply.body) == [
        *(True, "POST", "/score", "/score?a=1&a=2&b=3", "http://worker/score?a=1&a=2&b=3"),
        *("1", ["1", "2"], 3, None, "a=1&a=2&b=3", "t", "d"),
        *("application/json; charset=utf-8", "application/json", True, {"k": 1}, 1),
        *('{"k": 1}', [123, 34], 8, '{"'),
    ]


async def test_rawhttp_gets_bytes_that_are_no_text(worker):
    """A raw body is never decoded."""
    reply = await worker.score(
        bytes(range(256)), X_Returns="AMLResponse(request.data, 200, {'Content-Type': 'image/png'})"
    )
    assert (reply.body, reply.headers["Content-Type"]) == (bytes(range(256)), "image/png")


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
async def test_rawhttp_gets_every_scoring_method(worker, method):
    """A raw run() answers GET and OPTIONS itself."""
    assert (
        await worker.request(method, "/score", headers={"X-Returns": "request.method"})
    ).body == f'"{method}"'.encode()


async def test_an_uploaded_file_is_read_from_files(worker):
    """The documented way to send an image: `request.files["image"]`."""
    returns = """(lambda file: AMLResponse(file.read(), 200,
        {"X-Name": file.filename, "X-Kind": file.content_type, "X-N": request.form["n"]}))(request.files["image"])
    """
    content = bytes(range(256)) + b"\r\n--x\r\n\r\n"
    head = (
        b'--b"d\r\nContent-Disposition: form-data; name="image"; filename="a b.png"\r\nContent-Type: image/png\r\n\r\n'
    )
    field = b'\r\n--b"d\r\nContent-Disposition: form-data; name="n"\r\n\r\n7\r\n--b"d--\r\n'
    reply = await worker.score(
        head + content + field,
        Content_Type='multipart/form-data; boundary="b\\"d"',
        X_Returns=" ".join(returns.split()),
    )
    assert reply.body == content
    assert [reply.headers[name] for name in ("X-Name", "X-Kind", "X-N")] == ["a b.png", "image/png", "7"]


@pytest.mark.parametrize("status", [200, 201, 404, 418, 429])
async def test_a_response_passes_through(worker, status):
    """Body, status and headers are the script's; the run time is added."""
    reply = await worker.score(X_Returns=f"AMLResponse('b\\u00f6dy', {status}, {{'X-Own': 'a, b'}})")
    assert (reply.status, reply.body, reply.headers["X-Own"]) == (status, "bödy".encode(), "a, b")
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    assert reply.headers["x-ms-run-function-failed"] == "False"
    assert "x-ms-run-fn-exec-ms" in reply.headers


async def test_a_response_of_500_says_that_run_failed(worker):
    """A status of 500 and more is a failure, whatever the script says."""
    reply = await worker.score(X_Returns="AMLResponse('x', 503)")
    assert (reply.status, reply.headers.getall("x-ms-run-function-failed")) == (503, ["True"])


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ("AMLResponse(None, 200)", b"{}"),
        ("AMLResponse({'a': 1}, 200)", b'{"a": 1}'),
        ("AMLResponse('x', 200, json_str=True)", b'"x"'),
    ],
)
async def test_a_response_is_encoded_where_it_is_no_text(worker, returned, expected):
    """None, objects and `json_str` become JSON."""
    reply = await worker.score(X_Returns=returned)
    assert (reply.body, reply.headers["Content-Type"]) == (expected, "application/json")


async def test_headers_can_be_set_on_a_response(start):
    """As in the documented CORS example."""
    worker = start("""
        from azureml_inference_server_http.api.aml_request import rawhttp
        from azureml_inference_server_http.api.aml_response import AMLResponse
        def init(): pass
        @rawhttp
        def run(request):
            response = AMLResponse("", 200)
            response.headers["Allow"] = "OPTIONS, GET, POST"
            response.headers.add("Set-Cookie", "a=1")
            response.headers.add("Set-Cookie", "b=2")
            return response
        """)
    reply = await worker.request("OPTIONS", "/score")
    assert reply.headers["Allow"] == "OPTIONS, GET, POST"
    assert reply.headers.getall("Set-Cookie") == ["a=1", "b=2"]


async def test_a_response_cannot_break_the_framing(worker):
    """Lengths and connection headers of the script are dropped; the worker knows better."""
    headers = {"Content-Length": "1", "Transfer-Encoding": "chunked", "Connection": "close", "x-request-id": "forged"}
    reply = await worker.score(X_Returns=f"AMLResponse('whole', 200, {headers!r})", x_request_id="r1")
    assert (reply.body, reply.headers.getall("x-request-id")) == (b"whole", ["r1"])
    assert "Connection" not in reply.headers


@pytest.mark.parametrize("headers", [{"X-A": "1\r\nX-B: 2"}, {"X A": "1"}, {"": "1"}])
async def test_a_response_with_an_impossible_header_is_a_script_failure(worker, headers):
    """A line end in a header would be a second header: 500 instead."""
    reply = await worker.score(X_Returns=f"AMLResponse('x', 200, {headers!r})")
    assert (reply.status, "X-B" in reply.headers) == (500, False)


async def test_an_answer_without_content_has_no_body(worker):
    """204 carries neither body nor length, as HTTP wants it."""
    reply = await worker.score(X_Returns="AMLResponse('ignored', 204)")
    assert (reply.status, reply.body, "Content-Length" in reply.headers) == (204, b"", False)

"""The scoring contract over HTTP, one real worker per test."""

import io
import json

import pytest

SCRIPT_FAILED = b'{"message":"An unexpected error occurred in scoring script. Check the logs for more info."}'

ECHO = """
def init():
    pass

def run(raw_data):
    return [type(raw_data).__name__, raw_data]
"""


RAISE = """
import asyncio
def init(): pass
{definition} run(raw_data):
    if raw_data:
        raise eval(raw_data)
    return "fine"
"""


@pytest.fixture(scope="module")
def worker(start_shared):
    """A worker that answers the type and text of what run() got."""
    return start_shared(ECHO)


@pytest.fixture(scope="module")
def raising(start_shared):
    """A worker whose run() raises what the body says."""
    return start_shared(RAISE.format(definition="def"))


@pytest.fixture(scope="module")
def raising_async(start_shared):
    """The same with an `async def run`."""
    return start_shared(RAISE.format(definition="async def"))


async def test_init_runs_once_before_the_first_request(start):
    """init() is called exactly once per process."""
    worker = start("""
        calls = []
        def init():
            calls.append("init")
        def run(raw_data):
            return calls
        """)
    await worker.score()
    assert (await worker.score()).body == b'["init"]'


async def test_run_gets_the_body_as_text(worker):
    """The body arrives as a UTF-8 str."""
    assert json.loads((await worker.score("grün".encode())).body) == ["str", "grün"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/octet-stream", ""])
async def test_a_body_of_any_type_is_handed_over(worker, kind):
    """Azure's server loses the body of some types; here none is lost."""
    reply = await worker.score(b"a=1&b=2", Content_Type=kind)
    assert json.loads(reply.body) == ["str", "a=1&b=2"]


async def test_a_body_without_a_type_is_handed_over(worker):
    """A POST that names no Content-Type keeps its body."""
    reply = await worker.request("POST", "/score", data=b"raw", skip_auto_headers=["Content-Type"])
    assert json.loads(reply.body) == ["str", "raw"]


async def test_a_chunked_body_is_handed_over_whole(worker):
    """Chunks are put together before run() sees them."""

    async def chunks():
        yield b"one"
        yield b"two"

    assert json.loads((await worker.request("POST", "/score", data=chunks())).body) == ["str", "onetwo"]


async def test_a_body_over_a_megabyte_is_handed_over(start):
    """The worker itself sets no limit."""
    worker = start("""
        def init(): pass
        def run(raw_data): return len(raw_data)
        """)
    assert (await worker.score(io.BytesIO(b"x" * 3_000_000))).body == b"3000000"


async def test_a_large_answer_arrives_whole(start):
    """An answer larger than any buffer is complete."""
    worker = start("""
        def init(): pass
        def run(raw_data): return "x" * 5_000_000
        """)
    assert (await worker.score()).body == b'"' + b"x" * 5_000_000 + b'"'


async def test_a_compressed_body_is_not_inflated(worker):
    """Like Azure's server, the worker hands over the bytes that were sent, which are no UTF-8 here."""
    reply = await worker.score(b"\x1f\x8b\x08\x00", Content_Encoding="gzip")
    assert reply.status == 400


async def test_a_body_that_is_no_utf8_is_refused(worker):
    """run() takes text: other bytes are a 400 that says why."""
    reply = await worker.score(b"\xff")
    assert reply.status == 400
    assert json.loads(reply.body)["message"].startswith("Input cannot be decoded as UTF-8: ")
    assert reply.headers["x-ms-run-function-failed"] == "False"


async def test_get_hands_over_the_query_as_json(start):
    """Values are parsed as JSON where they are; a repeated name has a list."""
    worker = start("""
        def init(): pass
        def run(raw_data): return raw_data
        """)
    reply = await worker.request("GET", "/score?a=1&b=[1,2]&c=x&d=null&e=1&e=y&f=")
    assert json.loads(json.loads(reply.body)) == {"a": 1, "b": [1, 2], "c": "x", "d": None, "e": [1, "y"], "f": ""}


async def test_options_is_answered_without_run(worker):
    """OPTIONS never reaches a plain run()."""
    reply = await worker.request("OPTIONS", "/score")
    assert (reply.status, reply.body) == (200, b"")


async def test_other_methods_are_refused(worker):
    """405 for what a scoring target does not know."""
    assert (await worker.request("PUT", "/score")).status == 405


async def test_an_unknown_path_is_not_found(worker):
    """404 names what is here."""
    reply = await worker.request("GET", "/other")
    assert (reply.status, json.loads(reply.body)) == (
        404,
        {"message": "The requested URL was not found; here are /, /score, /swagger.json"},
    )


async def test_run_can_ask_for_the_headers(start):
    """`request_headers` is a dict with the names that WSGI servers give."""
    worker = start("""
        def init(): pass
        def run(data, request_headers): return [type(request_headers).__name__, data, request_headers["X-Trace-Id"]]
        """)
    assert (await worker.score("x", x_trace_id="t1")).body == b'["dict","x","t1"]'


async def test_success_carries_azures_headers(worker):
    """Run time with three decimals, no failure, the version, and the request ids echoed."""
    reply = await worker.score("x", x_request_id="r1", x_ms_client_request_id="c1")
    took = reply.headers["x-ms-run-fn-exec-ms"]
    assert len(took.partition(".")[2]) == 3
    assert reply.headers["x-ms-run-function-failed"] == "False"
    assert reply.headers["x-ms-server-version"] == "teal/0.1.0"
    assert reply.headers["x-request-id"] == "r1"
    assert reply.headers["x-ms-client-request-id"] == "c1"
    assert reply.headers["Content-Type"] == "application/json"


async def test_a_request_without_an_id_gets_one(worker):
    """x-request-id is always there; x-ms-client-request-id only if sent."""
    reply = await worker.score("x")
    assert len(reply.headers["x-request-id"]) == 36
    assert "x-ms-client-request-id" not in reply.headers


async def test_an_overlong_id_is_refused(worker):
    """Azure's limit is 100 characters."""
    assert (await worker.score("x", x_request_id="r" * 101)).status == 431


@pytest.mark.parametrize("raised", ["ValueError('secret')", "SystemExit(1)", "KeyboardInterrupt()"])
async def test_an_exception_in_run_is_a_500_and_the_worker_lives(raising, raised):
    """The client sees no detail, the log has the traceback, and the next request scores."""
    reply = await raising.score(raised)
    assert (reply.status, reply.body) == (500, SCRIPT_FAILED)
    assert reply.headers["x-ms-run-function-failed"] == "True"
    assert "x-ms-run-fn-exec-ms" not in reply.headers
    assert f"\n{raised.partition('(')[0]}" in raising.stderr
    assert (await raising.score()).body == b'"fine"'


async def test_a_result_without_json_form_is_a_script_failure(start):
    """What cannot be encoded is the script's error, explained in the log."""
    worker = start("""
        def init(): pass
        def run(raw_data): return object()
        """)
    reply = await worker.score()
    assert (reply.status, reply.body) == (500, SCRIPT_FAILED)
    assert "run() returned a object, which has no JSON form" in worker.stderr


async def test_prints_are_in_the_log_when_the_answer_is_there(start):
    """stdout is line buffered even into a file."""
    worker = start("""
        def init(): print("loaded")
        def run(raw_data): print("scored", raw_data)
        """)
    reply = await worker.score("x")
    assert reply.body == b"{}"
    assert worker.stdout == "loaded\nscored x\n"


async def test_the_script_sees_its_environment(start):
    """Module name, working directory, import path and variables are as Azure's."""
    worker = start(
        """
        import os, sys
        import beside
        def init(): pass
        def run(raw_data):
            names = ("AML_APP_ROOT", "AZUREML_ENTRY_SCRIPT", "AZUREML_MODEL_DIR", "NOTIFY_SOCKET")
            return [__name__, os.getcwd(), sys.path[0], beside.VALUE, *(os.environ.get(name) for name in names)]
        if __name__ == "__main__":
            raise RuntimeError
        """,
        *("--model-dir", "/models"),
        files={"beside.py": "VALUE = 1"},
    )
    code = str(worker.code_dir)
    assert json.loads((await worker.score()).body) == ["score", code, code, 1, code, "score.py", "/models", None]


async def test_variables_of_the_supervisor_stay(start):
    """AZUREML_MODEL_DIR that is set wins over --model-dir."""
    worker = start(
        """
        import os
        def init(): pass
        def run(raw_data): return os.environ["AZUREML_MODEL_DIR"]
        """,
        *("--model-dir", "/models"),
        env={"AZUREML_MODEL_DIR": "/theirs"},
    )
    assert (await worker.score()).body == b'"/theirs"'


async def test_init_and_run_share_the_main_thread(start):
    """What belongs to a thread, an sqlite connection for one, works across init() and run()."""
    worker = start("""
        import sqlite3, threading
        def init():
            global connection
            connection = sqlite3.connect(":memory:")
        def run(raw_data):
            is_main = threading.current_thread() is threading.main_thread()
            return [is_main, *connection.execute("select 7").fetchone()]
        """)
    assert (await worker.score()).body == b"[true,7]"


async def test_an_async_run_is_awaited(start):
    """`async def run`, and the `async def init` before it, share one loop."""
    worker = start("""
        import asyncio
        async def init():
            global loop
            loop = asyncio.get_running_loop()
        async def run(raw_data):
            await asyncio.sleep(0)
            return [raw_data, asyncio.get_running_loop() is loop]
        """)
    assert (await worker.score("x")).body == b'["x",true]'


@pytest.mark.parametrize("raised", ["ValueError()", "SystemExit(1)", "asyncio.CancelledError()"])
async def test_an_exception_in_an_async_run_is_a_500_and_the_worker_lives(raising_async, raised):
    """Not even its own cancellation ends the loop of an async run()."""
    assert (await raising_async.score(raised)).status == 500
    assert (await raising_async.score()).body == b'"fine"'


async def test_numpy_results_are_encoded(start):
    """Arrays and scalars need no tolist() in the script."""
    worker = start("""
        import numpy
        def init(): pass
        def run(raw_data): return {"array": numpy.arange(3), "scalar": numpy.float64(0.5)}
        """)
    assert (await worker.score()).body == b'{"array":[0,1,2],"scalar":0.5}'

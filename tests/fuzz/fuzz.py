"""Fuzzes the proxy with atheris; `.venv/bin/pip install --require-hashes -r .locks/fuzz.txt`, on Python 3.11 to 3.13.

    mkdir new
    python -m tests.fuzz.fuzz requests new tests/fuzz/corpus/requests -max_total_time=600 -dict=tests/fuzz/http.dict
    python -m tests.fuzz.fuzz requests tests/fuzz/corpus/requests new -merge=1   # keep what adds to the corpus

and the same with `answers`. Everything behind the first word is libFuzzer's. `TEAL_COMPILED=1` fuzzes the compiled
request path, without looking into it. An input that breaks something is left in the current folder; it belongs into
the corpus, where the test suite tries it, once the fault is repaired.
"""

import logging
import os
import sys

import atheris
import structlog

from router import compiled

if os.environ.get("TEAL_COMPILED"):
    compiled.use()
    from tests.fuzz.harness import in_memory, run_answers, run_requests
else:
    with atheris.instrument_imports(include=["router"]):
        from tests.fuzz.harness import in_memory, run_answers, run_requests


def main(kind: str, options: list[str]) -> None:
    run = {"requests": run_requests, "answers": run_answers}[kind]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with in_memory() as loop:
        command = f"{sys.executable} -m tests.fuzz.fuzz {kind}"  # libFuzzer starts it for a merge
        atheris.Setup([command, "-max_len=2048", "-timeout=10", *options], lambda data: run(loop, data))
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

"""What fuzzing has found worth keeping goes through both lanes, with everything that must hold of it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fuzz.harness import in_memory, run_answers, run_requests
from tests.fuzz.memory import Loop

CORPUS = Path(__file__).parent / "corpus"


@pytest.fixture(scope="module")
def loop() -> Iterator[Loop]:
    with in_memory() as one:
        yield one


@pytest.mark.parametrize(("kind", "run"), [("requests", run_requests), ("answers", run_answers)])
def test_the_corpus_holds(loop: Loop, kind: str, run: Callable[[Loop, bytes], None]) -> None:
    """Every input of the corpus, one after the other; a failure names the file."""
    files = sorted((CORPUS / kind).iterdir())
    assert files
    for file in files:
        try:
            run(loop, file.read_bytes())
        except AssertionError as error:
            raise AssertionError(f"{file.name}: {error}") from error

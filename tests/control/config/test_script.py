"""Whether a scoring script can be one, as far as reading it tells."""

import os
from pathlib import Path

import pytest

from router.control.config.script import script_problems

SCRIPT = "def init():\n    pass\n\n\ndef run(data):\n    return data\n"


def problems(folder: Path, script: str | bytes, *, check_syntax: bool = True) -> list[str]:
    """Problems of a script with this text, less the folder."""
    content = script.encode() if isinstance(script, str) else script
    (folder / "score.py").write_bytes(content)
    found = script_problems(folder, "score.py", check_syntax=check_syntax)
    return [problem.replace(f"{folder}/", "") for problem in found]


@pytest.mark.parametrize("check_syntax", [True, False])
def test_a_script_with_both_functions_has_no_problems(tmp_path: Path, check_syntax: bool) -> None:
    """Whoever reads it."""
    assert problems(tmp_path, SCRIPT, check_syntax=check_syntax) == []


@pytest.mark.parametrize(
    "script",
    [
        "from shared import init, run",
        "from shared import *",
        "import a as init\nrun = init",
        "async def run(data): ...\nclass init: ...",
        "if True:\n    def init(): ...\nelse:\n    pass\nrun: object = init",
        "try:\n    from fast import run\nexcept ImportError:\n    def run(data): ...\ninit, other = 1, 2",
        "try:\n    pass\nexcept* OSError:\n    def run(data): ...\nelse:\n    def init(): ...",
        "match VERSION:\n    case 1:\n        from a import init, run\n    case _:\n        from b import init, run",
        "with quiet():\n    from shared import init\nfor run in (1, 2):\n    def run(data): ...",
        "while True:\n    def init(): ...\n    run = init\n    break",
        "# -*- coding: latin-1 -*-\ninit = run = '\\d'",
        "\ufeffinit = run = print\r\n",
    ],
)
def test_functions_may_come_from_anywhere(tmp_path: Path, script: str) -> None:
    """Imports, assignments and conditions define names too; a doubtful escape is no problem here."""
    assert problems(tmp_path, script) == []


@pytest.mark.parametrize(
    ("script", "missing"),
    [
        ("", ["init", "run"]),
        ("def init(): ...", ["run"]),
        ("def run(data): ...", ["init"]),
        ("def init():\n    def run(data): ...", ["run"]),
        ("class Model:\n    def init(self): ...\n    def run(self, data): ...", ["init", "run"]),
        ("def Init(): ...\ndef run_(data): ...", ["init", "run"]),
    ],
)
def test_functions_that_are_not_there_are_told(tmp_path: Path, script: str, missing: list[str]) -> None:
    """Each of them; one inside another does not count. The syntax is none of the matter."""
    expected = [f"score.py has no {name}(); a scoring script has init() and run(data)" for name in missing]
    assert problems(tmp_path, script) == expected
    assert problems(tmp_path, script, check_syntax=False) == expected


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("def init():\n    pass\ndef run(data:\n", "score.py:3: '(' was never closed"),
        ("def init():\npass\n", "score.py:2: expected an indented block after function definition on line 1"),
        ("# coding: nothing\n", "score.py: unknown encoding: nothing"),
        ("(" * 300, "score.py:1: too many nested parentheses"),
        ("a" + ".b" * 100_000, "score.py: nested too deep for Python"),
        ("-" * 100_000 + "1", "score.py: nested too deep for Python"),
    ],
    ids=["brackets", "indent", "encoding", "nested", "chain", "signs"],
)
def test_what_python_does_not_read_is_told(tmp_path: Path, script: str, expected: str) -> None:
    """With its line, if Python says one; another Python may read it."""
    assert problems(tmp_path, script) == [expected]
    assert problems(tmp_path, script, check_syntax=False) == []


@pytest.mark.parametrize("content", [b"\x00", b"\xff\xfe", b"init = run = '\xe9'"])
def test_a_script_that_is_no_text_is_told(tmp_path: Path, content: bytes) -> None:
    """Whatever Python says of it."""
    (problem,) = problems(tmp_path, content)
    assert problem.startswith("score.py")
    assert "None" not in problem


@pytest.mark.parametrize("check_syntax", [True, False])
def test_a_script_that_is_not_there_is_told(tmp_path: Path, check_syntax: bool) -> None:
    """Another Python would not find it either."""
    found = script_problems(tmp_path, "score.py", check_syntax=check_syntax)
    assert found == [f"{tmp_path}/score.py: {os.strerror(2)}"]


def test_a_script_that_is_no_file_is_told(tmp_path: Path) -> None:
    """A folder, or a pipe that nobody writes to, which is not waited for."""
    (tmp_path / "folder.py").mkdir()
    os.mkfifo(tmp_path / "pipe.py")
    found = [
        *script_problems(tmp_path, "folder.py", check_syntax=True),
        *script_problems(tmp_path, "pipe.py", check_syntax=True),
    ]
    assert found == [f"{tmp_path}/folder.py: not a file", f"{tmp_path}/pipe.py: not a file"]


def test_a_script_may_be_in_a_folder_below(tmp_path: Path) -> None:
    """Its name is a path from the code on."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "score.py").write_text(SCRIPT)
    assert script_problems(tmp_path, "src/score.py", check_syntax=True) == []

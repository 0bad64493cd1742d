"""Secrets are compared in a time that does not depend on how much of a guess is right."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
#: What knows a key, a token or what is made of one.
MODULES = ("router/core/auth.py", "router/control/admin.py")
_SECRET = re.compile(r"key|token|digest|secret|signature|expected")
_DEPENDS = (ast.Eq, ast.NotEq)


def compared(source: str) -> Iterator[str]:
    """Every comparison with == or != of what is called a secret."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and any(isinstance(each, _DEPENDS) for each in node.ops):
            text = ast.unparse(node)
            if _SECRET.search(text):
                yield text


@pytest.mark.parametrize("module", MODULES)
def test_no_secret_is_compared_as_text_is(module: str) -> None:
    """But with `hmac.compare_digest`."""
    assert list(compared((ROOT / module).read_text())) == []


def test_a_comparison_would_be_found() -> None:
    """However the secret is written."""
    assert list(compared("if self.token == given or key() != b'': pass")) == ["self.token == given", "key() != b''"]

"""Whether a scoring script can be one, as far as reading it tells."""

import ast
import stat
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

_MANDATORY = ("init", "run")


def script_problems(code: Path, scoring_script: str, *, check_syntax: bool) -> list[str]:
    """What keeps a script from being run, a sentence each that begins with its path.

    Args:
        check_syntax: Whether the Python that reads the script here is the one that will run it; another one may know
            more syntax, or less.
    """
    script = code / scoring_script
    try:
        tree = _parsed(script)
    except OSError as error:
        return [f"{script}: {error.strerror}"]
    except SyntaxError as error:
        place = f"{script}:{error.lineno}" if error.lineno else str(script)
        return [f"{place}: {error.msg}"] if check_syntax else []
    except (RecursionError, MemoryError):  # what Python's parser says of an expression that never ends
        return [f"{script}: nested too deep for Python"] if check_syntax else []
    except ValueError as error:
        return [f"{script}: {error}"]
    names = set(_top_level_names(tree.body))
    missing = (name for name in _MANDATORY if not names & {name, "*"})
    return [f"{script} has no {name}(); a scoring script has init() and run(data)" for name in missing]


def _parsed(script: Path) -> ast.Module:
    if not stat.S_ISREG(script.stat().st_mode):  # a pipe would be waited for
        raise OSError(0, "not a file")
    with warnings.catch_warnings():
        # A doubtful escape in a model's script is no business of a person who checks a config.
        warnings.simplefilter("ignore")
        return ast.parse(script.read_bytes(), filename=str(script))


def _top_level_names(body: Iterable[ast.AST]) -> Iterator[str]:
    """Names that importing the script may define, `*` among them where an import brings any number of names."""
    for statement in body:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from (alias.asname or alias.name for alias in names)
            case ast.Assign(targets=targets):
                yield from (node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.If() | ast.Try() | ast.TryStar() | ast.ExceptHandler() | ast.Match() | ast.match_case():
                yield from _top_level_names(ast.iter_child_nodes(statement))
            case ast.With() | ast.For() | ast.While():
                yield from _top_level_names(ast.iter_child_nodes(statement))

"""What an environment is made from, and when two are the same."""

import sys
from pathlib import Path

import pytest

from router.control.recipe import RecipeError, read_conda_recipe, read_requirements_recipe

NEEDS = ("aiohttp>=3.9",)
CONDA = """
dependencies:
  - python=3.10
  - libgcc-ng
  - six=1.16
  - pip:
    - requests
    - -r more.txt
    - --constraint=pins.txt
"""


@pytest.fixture
def conda_file(tmp_path: Path) -> Path:
    (tmp_path / "more.txt").write_text("-r evenmore.txt\n")
    (tmp_path / "evenmore.txt").write_text("idna\n")
    (tmp_path / "pins.txt").write_text("idna<4\n")
    file = tmp_path / "conda.yaml"
    file.write_text(CONDA)
    return file


def test_conda_file_becomes_a_recipe(conda_file: Path) -> None:
    """Conda packages and pip lines are one list; included files stay files."""
    recipe = read_conda_recipe(conda_file, NEEDS)
    assert (recipe.python, recipe.interpreter) == ("3.10", "3.10")
    assert recipe.lines == ("six==1.16.*", "requests")
    assert recipe.files == ("-r", "more.txt", "--constraint", "pins.txt")
    assert recipe.notes == ("left out libgcc-ng: not a Python package, wheels bring what they need of it",)


def test_requirements_file_becomes_a_recipe(tmp_path: Path) -> None:
    """A requirements file is handed to uv as it is, for teal's own interpreter."""
    file = tmp_path / "requirements.txt"
    file.write_text("six\n")
    recipe = read_requirements_recipe(file, NEEDS)
    assert (recipe.python, recipe.interpreter) == (None, sys.executable)
    assert (recipe.lines, recipe.files) == ((), ("-r", str(file)))


def test_own_interpreter_serves_where_its_version_is_asked_for(tmp_path: Path) -> None:
    """A file that asks for the version that teal runs on gets teal's interpreter."""
    file = tmp_path / "conda.yaml"
    file.write_text(f"dependencies: [python={sys.version_info[0]}.{sys.version_info[1]}]")
    assert read_conda_recipe(file, NEEDS).interpreter == sys.executable


def test_same_content_elsewhere_has_the_same_digest(conda_file: Path, tmp_path: Path) -> None:
    """Two deployments with equal files share an environment."""
    other = tmp_path / "other"
    other.mkdir()
    for name in ("conda.yaml", "more.txt", "evenmore.txt", "pins.txt"):
        (other / name).write_bytes((tmp_path / name).read_bytes())
    assert read_conda_recipe(other / "conda.yaml", NEEDS).digest == read_conda_recipe(conda_file, NEEDS).digest


@pytest.mark.parametrize("name", ["conda.yaml", "more.txt", "evenmore.txt", "pins.txt"])
def test_digest_follows_every_file(conda_file: Path, name: str) -> None:
    """A change in any of the files, included ones too, is a new environment."""
    before = read_conda_recipe(conda_file, NEEDS).digest
    changed = conda_file.with_name(name)
    changed.write_text(changed.read_text().replace("six=1.16", "six=1.17") + "\n# changed\n")
    assert read_conda_recipe(conda_file, NEEDS).digest != before


def test_digest_follows_the_workers_needs(conda_file: Path) -> None:
    """A teal that needs something else builds again."""
    assert read_conda_recipe(conda_file, NEEDS).digest != read_conda_recipe(conda_file, ("aiohttp>=4",)).digest


def test_comment_in_a_conda_file_changes_nothing(conda_file: Path) -> None:
    """What a conda file asks for counts, not how it is written."""
    before = read_conda_recipe(conda_file, NEEDS).digest
    conda_file.write_text("# a comment\n" + CONDA)
    assert read_conda_recipe(conda_file, NEEDS).digest == before


def test_local_package_ties_the_digest_to_the_folder(tmp_path: Path) -> None:
    """`./package` means another package in another folder."""
    digests = set()
    for name in ("one", "two"):
        file = tmp_path / name / "requirements.txt"
        file.parent.mkdir()
        file.write_text("./package\n")
        digests.add(read_requirements_recipe(file, NEEDS).digest)
    assert len(digests) == 2


def test_files_that_include_each_other_are_read_once(tmp_path: Path) -> None:
    """A circle of includes ends."""
    (tmp_path / "a.txt").write_text("-r b.txt\nsix\n")
    (tmp_path / "b.txt").write_text("-r a.txt\n")
    assert read_requirements_recipe(tmp_path / "a.txt", NEEDS).files == ("-r", str(tmp_path / "a.txt"))


def test_included_url_is_left_to_uv(tmp_path: Path) -> None:
    """What lies behind a URL is not fetched to compute a digest."""
    (tmp_path / "r.txt").write_text("-c https://127.0.0.1:1/pins.txt\n")
    assert read_requirements_recipe(tmp_path / "r.txt", NEEDS).lines == ()


def test_missing_file_is_named(tmp_path: Path) -> None:
    """A file that is not there is an error that names it."""
    with pytest.raises(RecipeError) as missing:
        read_requirements_recipe(tmp_path / "r.txt", NEEDS)
    assert str(missing.value) == f"{tmp_path}/r.txt cannot be read: No such file or directory"


def test_missing_include_is_named(tmp_path: Path) -> None:
    """An included file that is not there is named together with the file that includes it."""
    (tmp_path / "r.txt").write_text("-r gone.txt\n")
    with pytest.raises(RecipeError) as missing:
        read_requirements_recipe(tmp_path / "r.txt", NEEDS)
    assert str(missing.value) == (
        f"{tmp_path}/r.txt includes gone.txt: {tmp_path}/gone.txt cannot be read: No such file or directory"
    )


def test_bad_conda_file_is_named(tmp_path: Path) -> None:
    """A conda file that cannot be translated is named with the entry that is wrong."""
    (tmp_path / "conda.yaml").write_text("dependencies: [numpy 1.7|1.8]")
    with pytest.raises(RecipeError) as refused:
        read_conda_recipe(tmp_path / "conda.yaml", NEEDS)
    assert str(refused.value).startswith(f"{tmp_path}/conda.yaml 'numpy 1.7|1.8' gives alternative versions")

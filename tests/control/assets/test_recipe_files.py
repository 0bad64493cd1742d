"""What an environment's file names goes along with it, or is refused; nothing of it is lost in silence."""

from pathlib import Path

import pytest

from router.control.assets.content import Content, ContentError
from router.control.assets.recipe_files import content_for, recipe_content, targets
from router.control.assets.store import ContentStore
from router.control.recipe import read_conda_recipe, read_requirements_recipe

CONDA = """
dependencies:
  - python=3.11
  - pip:
    - six
    - -r more.txt
    - ./wheels/own-1.0-py3-none-any.whl
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as a project has it: an environment's files, and much else."""
    top = tmp_path / "project"
    (top / "wheels").mkdir(parents=True)
    (top / "wheels" / "own-1.0-py3-none-any.whl").write_bytes(b"wheel")
    (top / "more.txt").write_text("-c sub/pins.txt\nidna\n")
    (top / "sub").mkdir()
    (top / "sub" / "pins.txt").write_text("idna<4\n")
    (top / "conda.yaml").write_text(CONDA)
    (top / "secrets.env").write_text("KEY=1\n")
    return top


def names(content: Content) -> list[str]:
    return [entry.fingerprint.name for entry in content.entries]


def test_file_that_names_nothing_goes_alone(tmp_path: Path) -> None:
    """A plain file is a plain copy."""
    (tmp_path / "r.txt").write_text("six==1.16  # pinned\nidna[all]>=2 ; python_version > '3'\n--pre\n")
    assert names(recipe_content(tmp_path / "r.txt", is_conda=False)) == ["r.txt"]


def test_what_a_conda_file_names_goes_along(folder: Path) -> None:
    """Included files, what they include, and wheels lie where the file looks for them; nothing else goes along."""
    assert names(recipe_content(folder / "conda.yaml", is_conda=True)) == [
        "environment",
        "environment/conda.yaml",
        "environment/more.txt",
        "environment/sub",
        "environment/sub/pins.txt",
        "environment/wheels",
        "environment/wheels/own-1.0-py3-none-any.whl",
    ]


def test_copy_is_the_same_recipe(folder: Path, tmp_path: Path) -> None:
    """The copy can be installed from as the original could."""
    store = ContentStore(tmp_path / "assets")
    copy = store.path(store.keep(recipe_content(folder / "conda.yaml", is_conda=True)))
    one, two = read_conda_recipe(folder / "conda.yaml", ()), read_conda_recipe(copy / "conda.yaml", ())
    assert (one.lines, one.files) == (two.lines, two.files)


def test_source_folder_goes_along(folder: Path) -> None:
    """`-e ./src` takes the folder, as ignore files and common sense have it."""
    (folder / "src" / "__pycache__").mkdir(parents=True)
    (folder / "src" / "pyproject.toml").touch()
    (folder / "r.txt").write_text("-e ./src[all]\n")
    assert names(recipe_content(folder / "r.txt", is_conda=False))[-2:] == [
        "environment/src",
        "environment/src/pyproject.toml",
    ]


def test_folder_of_the_file_itself_goes_along(tmp_path: Path) -> None:
    """`-e .` takes everything beside the file."""
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "setup.py").touch()
    (tmp_path / "p" / "r.txt").write_text("-e .\n")
    content = recipe_content(tmp_path / "p" / "r.txt", is_conda=False)
    assert names(content) == ["environment", "environment/r.txt", "environment/setup.py"]


def test_files_that_include_each_other_end(tmp_path: Path) -> None:
    """A circle of includes is walked once."""
    (tmp_path / "a.txt").write_text("-r b.txt\n")
    (tmp_path / "b.txt").write_text("-r a.txt\n")
    content = recipe_content(tmp_path / "a.txt", is_conda=False)
    assert names(content) == ["environment", "environment/a.txt", "environment/b.txt"]
    read_requirements_recipe(tmp_path / "a.txt", ())


def test_digest_follows_what_is_named(folder: Path) -> None:
    """A change in an included file is another content."""
    before = recipe_content(folder / "conda.yaml", is_conda=True).digest
    (folder / "sub" / "pins.txt").write_text("idna<3\n")
    assert recipe_content(folder / "conda.yaml", is_conda=True).digest != before


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("-r more.txt", [("more.txt", True)]),
        ("-rmore.txt", [("more.txt", True)]),
        ("--requirement=more.txt  # further", [("more.txt", True)]),
        ("--constraint pins.txt", [("pins.txt", True)]),
        ("-e ./src", [("./src", False)]),
        ("--editable=src", [("src", False)]),
        ("-f wheels", [("wheels", False)]),
        ("--find-links ./wheels", [("./wheels", False)]),
        ("./wheels/x.whl ; python_version > '3'", [("./wheels/x.whl", False)]),
        ("./pkg[extra]", [("./pkg", False)]),
        ("x-1.0-py3-none-any.whl --hash=sha256:00", [("x-1.0-py3-none-any.whl", False)]),
        ("own @ file:wheels/x.whl", [("wheels/x.whl", False)]),
        ("own[all] @ ./wheels/x.whl", [("./wheels/x.whl", False)]),
        (".", [(".", False)]),
        ("six", []),
        ("six>=1,<2", []),
        ("six==1.16 --hash=sha256:aa/bb", []),
        ("own @ https://example.org/own.whl", []),
        ("git+https://example.org/own.git@main", []),
        ("own @ git+ssh://git@example.org/own.git", []),
        ("/opt/wheels/x.whl", []),
        ("-r /etc/pins.txt", []),
        ("own @ file:///opt/x.whl", []),
        ("--index-url https://example.org/simple/", []),
        ("--extra-index-url=https://example.org/simple/", []),
        ("-i https://example.org/simple/", []),
        ("-r https://example.org/r.txt", []),
        ("# ./wheels/x.whl", []),
        ("", []),
        ("six \\\n  --hash=sha256:aa/bb", []),
        ("-r \\\n more.txt", [("more.txt", True)]),
    ],
)
def test_paths_in_a_line(line: str, expected: list[tuple[str, bool]]) -> None:
    """What of a line is a path that has to go along."""
    assert list(targets(line)) == expected


def test_missing_file_is_named_with_who_names_it(folder: Path) -> None:
    """What is named and not there is an error before anything is sent."""
    (folder / "sub" / "pins.txt").unlink()
    with pytest.raises(ContentError) as missing:
        recipe_content(folder / "conda.yaml", is_conda=True)
    assert str(missing.value) == f"{folder}/more.txt names sub/pins.txt, and {folder}/sub/pins.txt is not there"


def test_path_out_of_the_folder_is_refused(folder: Path) -> None:
    """A copy has no `..`."""
    (folder / "sub" / "r.txt").write_text("-r ../more.txt\n")
    with pytest.raises(ContentError) as refused:
        recipe_content(folder / "sub" / "r.txt", is_conda=False)
    assert str(refused.value) == (
        f"{folder}/sub/r.txt names ../more.txt, which is outside of {folder}/sub; "
        "put it into that folder, or give its absolute path"
    )


def test_broken_conda_file_goes_alone(tmp_path: Path) -> None:
    """What is wrong with it is told by who reads it as a recipe, with the right words."""
    (tmp_path / "conda.yaml").write_text("dependencies: [")
    assert names(recipe_content(tmp_path / "conda.yaml", is_conda=True)) == ["conda.yaml"]


def test_field_decides_what_goes_along(folder: Path) -> None:
    """A conda file takes what it names along; a model is what is at its path."""
    assert content_for("environment.conda_file", folder / "conda.yaml").name == "environment"
    assert content_for("requirements", folder / "more.txt").name == "environment"
    assert content_for("model.path", folder / "conda.yaml").name == "conda.yaml"

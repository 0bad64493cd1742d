"""Conda environment files, translated."""

import pytest

from router.control.conda import CondaFileError, parse_conda_file, parse_match_spec, python_request

AZURE = """
name: model-env
channels: [conda-forge]
dependencies:
  - python=3.10
  - pip
  - scikit-learn=1.2.2
  - numpy>=1.2
  - pip:
    - azureml-inference-server-http~=0.8
    - inference-schema[numpy-support]
    - -r more.txt
"""


@pytest.mark.parametrize(
    ("spec", "name", "specifier"),
    [
        ("numpy", "numpy", ""),
        ("NumPy", "numpy", ""),
        ("numpy=1.2", "numpy", "==1.2.*"),
        ("numpy = 1.2", "numpy", "==1.2.*"),
        ("numpy=1.2.*", "numpy", "==1.2.*"),
        ("numpy=1.2*", "numpy", "==1.2.*"),
        ("numpy==1.2.3", "numpy", "==1.2.3"),
        ("numpy==1.2.*", "numpy", "==1.2.*"),
        ("numpy 1.2.3", "numpy", "==1.2.3"),
        ("numpy 1.2.*", "numpy", "==1.2.*"),
        ("numpy>=1,<2", "numpy", ">=1,<2"),
        ("numpy >= 1, < 2", "numpy", ">=1,<2"),
        ("numpy>=1.2.*", "numpy", ">=1.2"),
        ("numpy~=1.2", "numpy", "~=1.2"),
        ("numpy!=1.5.*", "numpy", "!=1.5.*"),
        ("numpy=1.2,!=1.2.3", "numpy", "==1.2.*,!=1.2.3"),
        ("numpy=1.0rc1", "numpy", "==1.0rc1"),
        ("numpy=*", "numpy", ""),
        ("numpy=1.2.3=py310_0", "numpy", "==1.2.3"),
        ("numpy 1.2.3 py310_0", "numpy", "==1.2.3"),
        ("numpy==1.2.3=py310_0", "numpy", "==1.2.3"),
        ("numpy=*=*openblas*", "numpy", ""),
        ("numpy>=1.2=py310_0", "numpy", ">=1.2"),
        ("conda-forge::numpy=1.2", "numpy", "==1.2.*"),
        ("conda-forge/linux-64::numpy", "numpy", ""),
        ("numpy[version='>=1.2,<2', build=py310_0]", "numpy", ">=1.2,<2"),
        ("conda-forge::numpy[version=1.2.3]", "numpy", "==1.2.3"),
        ("_libgcc_mutex=0.1=main", "_libgcc_mutex", "==0.1"),
    ],
)
def test_match_spec_becomes_pep_440(spec: str, name: str, specifier: str) -> None:
    """A conda match spec keeps its meaning as a name and a PEP 440 specifier."""
    assert parse_match_spec(spec) == (name, specifier)


@pytest.mark.parametrize("spec", ["numpy 1.7|1.8", "numpy>=", "=1.2", "numpy=1.2,,=", "-r more.txt"])
def test_match_spec_that_cannot_be_said_is_refused(spec: str) -> None:
    """A spec without a PEP 440 form is refused, and the error quotes it."""
    with pytest.raises(CondaFileError) as refused:
        parse_match_spec(spec)
    assert repr(spec) in str(refused.value)


@pytest.mark.parametrize(
    ("specifier", "request_"),
    [
        ("", None),
        ("==3.10.*", "3.10"),
        ("==3.10", "3.10"),
        ("==3.10.4", "3.10.4"),
        ("==3.*", ">=3.9,<4"),
        (">=3.8,<3.12", ">=3.8,<3.12,>=3.9"),
    ],
)
def test_python_becomes_a_request_to_uv(specifier: str, request_: str | None) -> None:
    """Versions of Python are asked for by number, ranges keep the worker's own lower bound."""
    assert python_request(specifier) == request_


@pytest.mark.parametrize(("specifier", "version"), [("==3.8.*", "3.8"), ("==2.7.18", "2.7.18"), ("==2.*", "2")])
def test_python_that_is_too_old_is_refused(specifier: str, version: str) -> None:
    """A Python that the worker cannot run on is refused before anything is built."""
    with pytest.raises(CondaFileError, match=f"Python {version}, and teal's worker needs 3.9 or later"):
        python_request(specifier)


def test_azure_file_is_translated() -> None:
    """The usual file of the Azure documentation gives a Python, requirements and pip lines."""
    file = parse_conda_file(AZURE)
    assert file.python == "3.10"
    assert file.requirements == ("pip", "scikit-learn==1.2.2.*", "numpy>=1.2")
    assert file.pip == ("azureml-inference-server-http~=0.8", "inference-schema[numpy-support]", "-r more.txt")
    assert file.notes == ()


def test_conda_names_are_translated_and_said() -> None:
    """A package that has another name outside conda is asked for by that name, and a note says so."""
    file = parse_conda_file("dependencies: [pytorch=2.1, py-opencv]")
    assert file.requirements == ("torch==2.1.*", "opencv-python-headless")
    assert file.notes == (
        "pytorch is called torch outside conda",
        "py-opencv is called opencv-python-headless outside conda",
    )


def test_libraries_are_left_out_and_said() -> None:
    """What is not a Python package is left out, and a note says so."""
    file = parse_conda_file("dependencies: [libgcc-ng=11.2.0=h1234567_1, six]")
    assert file.requirements == ("six",)
    assert file.notes == ("left out libgcc-ng: not a Python package, wheels bring what they need of it",)


def test_python_may_be_left_open() -> None:
    """A file without `python` leaves the choice to teal."""
    assert parse_conda_file("dependencies: [six]").python is None


def test_empty_pip_section_is_nothing() -> None:
    """`- pip:` with nothing under it asks for nothing."""
    assert parse_conda_file("dependencies:\n- six\n- pip:\n").pip == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", r"the file is empty; expected at least `dependencies: \[\]`"),
        ("name: x", "has no list of 'dependencies'"),
        ("dependencies: six", "has no list of 'dependencies'"),
        ("dependencies: [six, 3.10]", "has 3.1 among its dependencies, which is not text"),
        ("dependencies: ['']", "has '' among its dependencies, which is not text"),
        ("dependencies: [{npm: [x]}]", "only a list under 'pip' can stand there"),
        ("dependencies: [{pip: six}]", "only a list under 'pip' can stand there"),
    ],
)
def test_malformed_file_is_refused(text: str, problem: str) -> None:
    """A file of another shape is refused with what is wrong in it."""
    with pytest.raises(CondaFileError, match=problem):
        parse_conda_file(text)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("name: x\ndependencies: [six", 2, "not YAML: column 1: did not find expected ',' or ']'"),
        ("name: x\nname: y\ndependencies: []", 2, "name: written twice, first in line 1"),
        ("dependencies: \n - a\n - " + "[" * 100_000, 3, "nested more than 50 levels deep"),
    ],
)
def test_a_file_that_is_no_plain_yaml_is_refused_with_its_line(text: str, line: int, problem: str) -> None:
    """By the reader of the config file, with its bounds."""
    with pytest.raises(CondaFileError) as refused:
        parse_conda_file(text)
    assert refused.value.line == line
    assert problem in str(refused.value)


def test_an_entry_that_is_large_is_shown_in_part() -> None:
    """Aliases make a million values of a few lines."""
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\ndependencies: [{npm: [*b,*b,*b,*b,*b]}]"
    with pytest.raises(CondaFileError) as refused:
        parse_conda_file(bomb)
    assert len(str(refused.value)) < 1000

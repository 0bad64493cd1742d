"""What definitions name is copied, checked and registered, or refused as a whole in terms of the user's own files."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from router.control.api.messages import Change
from router.control.assets.content import Content
from router.control.assets.recipe_files import content_for
from router.control.assets.registry import Registry
from router.control.assets.store import ContentStore
from router.control.commands.definitions import read_definition
from router.control.commands.intake import Intake, Taking
from router.control.config.load import load_content
from router.control.refusal import Conflict, Invalid
from router.control.state import State

OTHER = "0" * 64
DEPLOYMENT = """
    model:
      path: model/model.pkl
    code_configuration:
      code: onlinescoring
      scoring_script: score.py
    environment:
      conda_file: environment/conda.yaml
      image: mcr.example/base
    instance_type: Standard_DS3_v2
    """


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder as the article has it: a definition, and what it names."""
    top = tmp_path / "home"
    for name in ("model", "onlinescoring", "environment"):
        (top / name).mkdir(parents=True)
    (top / "model" / "model.pkl").write_bytes(b"weights")
    (top / "onlinescoring" / "score.py").write_text("def init(): ...\ndef run(data): ...\n")
    (top / "environment" / "conda.yaml").write_text("dependencies: [python=3.11, {pip: [six]}]\n")
    (top / "request.json").write_text("{}")
    return top


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    state = State.open(tmp_path / "served" / ".teal")
    yield Registry(state)
    state.close()


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "served" / ".teal" / "assets")


@pytest.fixture
def intake(registry: Registry, store: ContentStore, tmp_path: Path) -> Intake:
    return Intake(registry, store, tmp_path / "served")


def change_of(project: Path, text: str, **fields: object) -> Change:
    return Change(definition=dedent(text), file=str(project / "deploy.yml"), **fields)  # type: ignore[arg-type]


def taking(intake: Intake, change: Change) -> Taking:
    definition = None if change.definition is None else read_definition(change.definition, change.file)
    return intake.of(change, definition)


def take(intake: Intake, project: Path, text: str, **fields: object) -> dict[str, object]:
    """What becomes of a definition's fields."""
    change = change_of(project, text, **fields)
    return dict(taking(intake, change)(yaml.safe_load(dedent(text))))


def refused(intake: Intake, project: Path, text: str, **fields: object) -> list[str]:
    """The problems that a definition is refused with, which is whole but for them."""
    text = dedent(text)
    if "code_configuration" not in text:
        text = f"{text.rstrip()}\nupstreams: ['http://127.0.0.1:9000']\n"
    with pytest.raises(Invalid) as error:
        take(intake, project, text, **fields)
    return [str(problem) for problem in error.value.problems]


def registered(intake: Intake, text: str, project: Path) -> str:
    return intake.register("model", change_of(project, text)).asset.id


# Copies


def test_paths_become_copies_below_the_config(intake: Intake, project: Path, store: ContentStore) -> None:
    """Every local path is replaced, relative to the config's folder; all else stays as it is written."""
    model = Content.of(project / "model" / "model.pkl").digest
    code = Content.of(project / "onlinescoring").digest
    conda = Content.of(project / "environment" / "conda.yaml").digest
    assert take(intake, project, DEPLOYMENT) == {
        "model": {"path": f".teal/assets/{model}/model.pkl"},
        "code_configuration": {"code": f".teal/assets/{code}/onlinescoring", "scoring_script": "score.py"},
        "environment": {"conda_file": f".teal/assets/{conda}/conda.yaml", "image": "mcr.example/base"},
        "instance_type": "Standard_DS3_v2",
    }
    assert store.path(model).read_bytes() == b"weights"


def test_paths_are_absolute_where_the_state_is_elsewhere(
    registry: Registry, store: ContentStore, project: Path, tmp_path: Path
) -> None:
    """A config in /etc names copies in /var/lib."""
    fields = take(Intake(registry, store, tmp_path / "etc"), project, "model: {path: model}")
    assert fields == {"model": {"path": f"{store.root}/{Content.of(project / 'model').digest}/model"}}


def test_result_is_a_valid_deployment(intake: Intake, project: Path, tmp_path: Path) -> None:
    """What is taken in can be written into the config, and leads to the copies."""
    fields = take(intake, project, DEPLOYMENT + "warmup_request: {path: request.json}\n    ")
    text = yaml.safe_dump({"endpoints": {"shop": {"deployments": {"blue": fields}}}})
    config = load_content(text.encode(), tmp_path / "served" / "teal.yaml").config
    deployment = config.endpoints["shop"].deployments["blue"]
    assert deployment.warmup_request is not None
    assert deployment.warmup_request.path.read_text() == "{}"


def test_upload_takes_the_place_of_its_path(intake: Intake, project: Path, store: ContentStore) -> None:
    """What the client has sent is used; the daemon does not look for the path."""
    digest = store.add(project / "model")
    shutil.rmtree(project / "model")
    fields = take(intake, project, "model: {path: ./model}", content={"model.path": digest})
    assert fields == {"model": {"path": f".teal/assets/{digest}/model"}}


def test_upload_that_is_not_there_is_a_problem(intake: Intake, project: Path) -> None:
    """A copy that was swept meanwhile has to be sent again."""
    assert refused(intake, project, "model: {path: ./model}", content={"model.path": OTHER}) == [
        f"{project}/deploy.yml:1: model.path: there is no copy of the content {OTHER}; send it again"
    ]


def test_upload_that_nothing_names_is_a_problem(intake: Intake, project: Path) -> None:
    """What was sent is never dropped in silence."""
    assert refused(intake, project, "model: {path: model}", content={"environment.python": OTHER}) == [
        f"{project}/deploy.yml: environment.python: "
        "content came along for this field, and no path in it that it could be"
    ]


def test_same_definition_gives_the_same_fields(intake: Intake, project: Path, store: ContentStore) -> None:
    """A change may be planned several times."""
    work = taking(intake, change_of(project, DEPLOYMENT))
    fields = yaml.safe_load(dedent(DEPLOYMENT))
    assert work(fields) == work(fields)
    assert len(list(store.root.iterdir())) == 3


def test_files_that_change_meanwhile_do_not_change_the_plan(intake: Intake, project: Path) -> None:
    """One command has one content, however often it is planned."""
    work = taking(intake, change_of(project, "model: {path: model}"))
    first = work({"model": {"path": "model"}})
    (project / "model" / "model.pkl").write_bytes(b"new weights")
    assert work({"model": {"path": "model"}}) == first


def test_fields_that_are_given_stay_as_they_are(intake: Intake, project: Path) -> None:
    """The caller's data is not changed."""
    fields = yaml.safe_load(dedent(DEPLOYMENT))
    taking(intake, change_of(project, DEPLOYMENT))(fields)
    assert fields == yaml.safe_load(dedent(DEPLOYMENT))


def test_single_values_are_taken_in_where_they_are_set(intake: Intake, project: Path) -> None:
    """`--set` replaces one path and leaves the mapping around it."""
    digest = Content.of(project / "model").digest
    change = Change(set={"model.path": str(project / "model"), "instance_count": 2})
    assert taking(intake, change)({"model": {"path": str(project / "model")}, "instance_count": 2}) == {
        "model": {"path": f".teal/assets/{digest}/model"},
        "instance_count": 2,
    }


def test_single_values_with_a_name_are_registered_in_place(intake: Intake, project: Path, registry: Registry) -> None:
    """A path that is set stays a path, and is registered all the same."""
    path = str(project / "model")
    work = taking(intake, Change(set={"model.path": path, "model.name": "churn", "model.version": 4}))
    fields = work({"model": {"path": path, "name": "churn", "version": 4}})
    work.commit()
    assert fields["model"]["path"].startswith(".teal/assets/")  # type: ignore[index]
    assert registry.get("model", "churn", "latest").version == "4"


def test_interpreter_is_named_by_its_absolute_path(intake: Intake, project: Path) -> None:
    """An environment that exists is used where it is."""
    (project / "venv").mkdir()
    (project / "venv" / "python").symlink_to(sys.executable)
    fields = take(intake, project, "environment: {python: venv/python}")
    assert fields == {"environment": {"python": f"{project}/venv/python"}}


# Problems


def test_all_problems_are_told_at_once(intake: Intake, project: Path) -> None:
    """Each with the line of the definition, in the order of the lines; nothing was registered."""
    (project / "onlinescoring" / "score.py").write_text("def init(): ...\n\ndef run(data)\n")
    (project / "r.txt").write_text("-r gone.txt\n")
    text = """\
        model:
          name: churn
          path: modle/model.pkl
        code_configuration:
          code: onlinescoring
          scoring_script: score.py
        environment:
          image: base
          requirements: r.txt
        warmup_request:
          path: onlinescoring
        """
    assert refused(intake, project, text) == [
        f"{project}/deploy.yml:3: model.path: {project}/modle/model.pkl: No such file or directory",
        f"{project}/deploy.yml:6: code_configuration.scoring_script: {project}/onlinescoring/score.py:3: expected ':'",
        f"{project}/deploy.yml:9: environment.requirements: {project}/r.txt names gone.txt, "
        f"and {project}/gone.txt is not there",
        f"{project}/deploy.yml:11: warmup_request.path: {project}/onlinescoring is not a file",
    ]


def test_problems_of_paths_come_with_those_of_all_other_fields(intake: Intake, project: Path) -> None:
    """Nobody puts a path right only to be told of the next field."""
    text = """\
        code_configuration: {code: nope, scoring_script: score.py}
        model: {path: nope.pkl, colour: red}
        environment: {conda_file: nope.yaml}
        scoring: 1
        instance_count: x
        warmup_request: {path: nope.json}
        """
    known = "path, name, version, type, description, tags, properties"
    assert refused(intake, project, text) == [
        f"{project}/deploy.yml:1: code_configuration.code: {project}/nope: No such file or directory",
        f"{project}/deploy.yml:2: model.path: {project}/nope.pkl: No such file or directory",
        f"{project}/deploy.yml:2: model.colour: unknown field; there is {known}",
        f"{project}/deploy.yml:3: environment.conda_file: {project}/nope.yaml: No such file or directory",
        f"{project}/deploy.yml:4: scoring: unknown field; did you mean scoring_path?",
        f"{project}/deploy.yml:5: instance_count: the text 'x', expected a whole number",
        f"{project}/deploy.yml:6: warmup_request.path: {project}/nope.json: No such file or directory",
    ]


def test_deployment_that_nothing_can_run_is_told_with_its_paths(intake: Intake, project: Path) -> None:
    """What concerns the deployment as a whole is one of the problems."""
    with pytest.raises(Invalid) as error:
        take(intake, project, "model: {path: nope}")
    assert [problem.message for problem in error.value.problems] == [
        f"{project}/nope: No such file or directory",
        "expected code_configuration (teal runs it) or upstreams (it runs elsewhere)",
    ]


@pytest.mark.parametrize(
    "field", ["model: {path: $}", "environment: {conda_file: $}", "environment: {requirements: $}"]
)
@pytest.mark.parametrize("path", ["/proc/version", "/proc/kmsg", "/sys/kernel/uevent_seqnum"])
def test_file_that_the_kernel_makes_up_is_refused(intake: Intake, project: Path, field: str, path: str) -> None:
    """It is never read: the read may wait for ever, or take away what others want to see."""
    [problem] = refused(intake, project, field.replace("$", path))
    assert "which has no files that can be copied" in problem


def test_conda_file_that_is_a_pipe_is_refused(intake: Intake, project: Path) -> None:
    """Nobody waits for somebody to write into it."""
    os.mkfifo(project / "conda.yaml")
    [problem] = refused(intake, project, "environment: {conda_file: conda.yaml}")
    assert "conda.yaml is a named pipe; only files and folders can be copied" in problem


def test_script_of_an_upload_is_named_as_the_users_own(intake: Intake, project: Path, store: ContentStore) -> None:
    """The message leads to the file that has to be put right, not to the copy."""
    (project / "onlinescoring" / "score.py").write_text("import os\ndef init(): ...\n")
    digest = store.add(project / "onlinescoring")
    text = "code_configuration: {code: ./onlinescoring/, scoring_script: score.py}"
    assert refused(intake, project, text, content={"code_configuration.code": digest}) == [
        f"{project}/deploy.yml:1: code_configuration.scoring_script: "
        f"{project}/onlinescoring/score.py has no run(); a scoring script has init() and run(data)"
    ]


def test_script_that_is_ignored_is_explained(intake: Intake, project: Path) -> None:
    """A file that is there and was not copied is no riddle."""
    (project / "onlinescoring" / ".gitignore").write_text("score.py\n")
    text = "code_configuration: {code: onlinescoring, scoring_script: score.py}"
    assert refused(intake, project, text) == [
        f"{project}/deploy.yml:1: code_configuration.scoring_script: {project}/onlinescoring/score.py: "
        f"No such file or directory; see whether {project}/onlinescoring/.gitignore leaves it behind"
    ]


@pytest.mark.parametrize("script", ["../model/score.py", "/etc/passwd", "lib/../../x.py"])
def test_script_outside_of_the_code_is_refused(intake: Intake, project: Path, script: str) -> None:
    """Only the folder is copied."""
    text = f"code_configuration: {{code: onlinescoring, scoring_script: {script}}}"
    assert refused(intake, project, text) == [
        f"{project}/deploy.yml:1: code_configuration.scoring_script: {script} leads out of {project}/onlinescoring; "
        "expected a script in that folder, such as score.py"
    ]


def test_code_that_is_a_file_is_refused(intake: Intake, project: Path) -> None:
    """The script's folder is meant, not the script."""
    text = "code_configuration: {code: onlinescoring/score.py, scoring_script: score.py}"
    assert refused(intake, project, text) == [
        f"{project}/deploy.yml:1: code_configuration.code: {project}/onlinescoring/score.py is not a folder"
    ]


def test_syntax_is_left_to_the_python_that_runs_the_script(intake: Intake, project: Path) -> None:
    """Another version may know more."""
    (project / "onlinescoring" / "score.py").write_text("type X = int\ndef init(): ...\ndef run(data): ...\n")
    (project / "environment" / "conda.yaml").write_text("dependencies: [python=3.99]\n")
    assert "code_configuration" in take(intake, project, DEPLOYMENT)


def test_syntax_is_checked_where_teals_own_python_runs_the_script(intake: Intake, project: Path) -> None:
    """Without an environment, with a requirements file, or with this very version."""
    (project / "onlinescoring" / "score.py").write_text("def\n")
    (project / "r.txt").write_text("six\n")
    code = "code_configuration: {code: onlinescoring, scoring_script: score.py}"
    for environment in ("", "environment: {requirements: r.txt}", "environment: {image: some}"):
        assert len(refused(intake, project, f"{code}\n{environment}")) == 1


@pytest.mark.parametrize("url", ["https://example.org/m.pkl", "azureml://datastores/x/paths/m", "azureml:churn:1"])
def test_url_is_no_path(intake: Intake, project: Path, url: str) -> None:
    """What is elsewhere has to be fetched first."""
    assert refused(intake, project, f"model: {{path: '{url}'}}") == [
        f"{project}/deploy.yml:1: model.path: {url} is not on this machine; "
        "download it, and give the path of the file or folder"
    ]


def test_relative_path_needs_a_file(intake: Intake) -> None:
    """A daemon's working directory is nobody's folder."""
    with pytest.raises(Invalid) as error:
        taking(intake, Change(set={"model.path": "model"}))({"model": {"path": "model"}})
    assert str(error.value) == (
        "model.path: model is a relative path, and there is no file that it starts from; give all of it"
    )


def test_problem_of_a_value_that_was_set_has_no_line(intake: Intake, project: Path) -> None:
    """The file is not where it has to be put right."""
    change = change_of(project, "model: {path: model}\n", set={"model.path": "gone"})
    with pytest.raises(Invalid) as error:
        taking(intake, change)({"model": {"path": "gone"}, "upstreams": ["http://127.0.0.1:9000"]})
    assert str(error.value) == f"model.path: {project}/gone: No such file or directory"


def test_missing_interpreter_is_a_problem(intake: Intake, project: Path) -> None:
    """What cannot be run is told before anything is written."""
    assert refused(intake, project, "environment: {python: venv/bin/python}") == [
        f"{project}/deploy.yml:1: environment.python: {project}/venv/bin/python is not an executable file"
    ]


def test_link_to_nowhere_in_a_model_is_a_problem(intake: Intake, project: Path) -> None:
    """What cannot be copied is told at the field that names it."""
    (project / "model" / "extra").symlink_to("gone")
    [problem] = refused(intake, project, "model: {path: model}")
    assert problem.startswith(f"{project}/deploy.yml:1: model.path: {project}/model/extra is a link to gone, which")


@pytest.mark.parametrize("fields", ["model: 5", "model: {path: 5}", "code_configuration: here", "environment: [1]"])
def test_wrong_kind_of_value_is_left_to_the_config(intake: Intake, project: Path, fields: str) -> None:
    """The whole config is checked afterwards, and says it with the words that it always has."""
    assert take(intake, project, fields) == yaml.safe_load(fields)


# Environments


def test_what_a_conda_file_names_is_there(intake: Intake, project: Path, store: ContentStore) -> None:
    """Included files lie beside the copy."""
    (project / "environment" / "more.txt").write_text("idna\n")
    (project / "environment" / "conda.yaml").write_text("dependencies: [{pip: ['-r more.txt']}]\n")
    fields = take(intake, project, "environment: {conda_file: environment/conda.yaml}")
    path = store.root.parent.parent / str(fields["environment"]["conda_file"])  # type: ignore[index]
    assert sorted(found.name for found in path.parent.iterdir()) == ["conda.yaml", "more.txt"]


def test_upload_with_what_a_conda_file_names_is_taken(intake: Intake, project: Path, store: ContentStore) -> None:
    """The client sends a folder where there is more than one file."""
    (project / "environment" / "more.txt").write_text("idna\n")
    (project / "environment" / "conda.yaml").write_text("dependencies: [{pip: ['-r more.txt']}]\n")
    digest = store.keep(content_for("environment.conda_file", project / "environment" / "conda.yaml"))
    shutil.rmtree(project / "environment")
    text = "environment: {conda_file: ./environment/conda.yaml}"
    assert take(intake, project, text, content={"environment.conda_file": digest}) == {
        "environment": {"conda_file": f".teal/assets/{digest}/environment/conda.yaml"}
    }


def test_upload_without_what_a_conda_file_names_is_refused(intake: Intake, project: Path, store: ContentStore) -> None:
    """An included file is not lost in silence."""
    (project / "environment" / "conda.yaml").write_text("dependencies: [{pip: ['-r more.txt']}]\n")
    digest = store.add(project / "environment" / "conda.yaml")
    text = "environment: {conda_file: environment/conda.yaml}"
    assert refused(intake, project, text, content={"environment.conda_file": digest}) == [
        f"{project}/deploy.yml:1: environment.conda_file: {project}/environment/conda.yaml names more.txt, "
        f"and {project}/environment/more.txt is not there; it has to be sent along with it"
    ]


def test_requirements_are_taken_along(intake: Intake, project: Path) -> None:
    """A requirements file is an environment too."""
    (project / "r.txt").write_text("six\n")
    digest = Content.of(project / "r.txt").digest
    assert take(intake, project, "environment: {requirements: r.txt}") == {
        "environment": {"requirements": f".teal/assets/{digest}/r.txt"}
    }


def test_conda_file_that_cannot_be_installed_is_a_problem(intake: Intake, project: Path) -> None:
    """The entry is named, in the user's own file."""
    (project / "environment" / "conda.yaml").write_text("dependencies: [numpy 1.7|1.8]\n")
    assert refused(intake, project, "environment: {conda_file: environment/conda.yaml}") == [
        f"{project}/deploy.yml:1: environment.conda_file: {project}/environment/conda.yaml "
        "'numpy 1.7|1.8' gives alternative versions ('|'); write one range instead"
    ]


def test_inline_conda_file_becomes_a_file(intake: Intake, project: Path, store: ContentStore) -> None:
    """Azure takes the content in the place of the path."""
    text = "environment: {conda_file: {name: x, dependencies: [python=3.11, {pip: [six]}]}}"
    fields = take(intake, project, text)
    path = store.root.parent.parent / str(fields["environment"]["conda_file"])  # type: ignore[index]
    assert yaml.safe_load(path.read_text()) == {"name": "x", "dependencies": ["python=3.11", {"pip": ["six"]}]}
    assert path.name == "conda.yaml"


def test_inline_conda_file_that_is_none_is_a_problem(intake: Intake, project: Path) -> None:
    """The message does not name a file that the user does not have."""
    assert refused(intake, project, "environment: {conda_file: {channels: [x]}}") == [
        f"{project}/deploy.yml:1: environment.conda_file: the inline conda_file has no list of 'dependencies'"
    ]


def test_inline_conda_file_cannot_name_files(intake: Intake, project: Path) -> None:
    """There is no folder that they could be in."""
    assert refused(intake, project, "environment: {conda_file: {dependencies: [{pip: ['-r more.txt']}]}}") == [
        f"{project}/deploy.yml:1: environment.conda_file: the inline conda_file names more.txt, "
        "and ./more.txt is not there; write it into a file, beside what it names"
    ]


# Names


def test_named_model_is_registered(intake: Intake, project: Path, registry: Registry) -> None:
    """A deployment refers to it by name; it is registered once the change is known to be valid."""
    text = "model: {path: model/model.pkl, name: churn, version: 3, type: mlflow_model, tags: {owner: ann}}"
    work = taking(intake, change_of(project, text))
    assert work(yaml.safe_load(text)) == {"model": "azureml:churn:3"}
    assert registry.list("model") == ()
    work.commit()
    asset = registry.get("model", "churn", "3")
    digest = Content.of(project / "model" / "model.pkl").digest
    assert asset.copies == {"path": f"{digest}/model.pkl"}
    assert asset.fields == {"type": "mlflow_model", "tags": {"owner": "ann"}}


def test_named_model_without_a_version_gets_the_next(intake: Intake, project: Path, registry: Registry) -> None:
    """However often it is planned and committed, it is one version."""
    text = "model: {path: model, name: churn}"
    work = taking(intake, change_of(project, text))
    assert [work(yaml.safe_load(text)), work(yaml.safe_load(text))] == [{"model": "azureml:churn:1"}] * 2
    work.commit()
    work.commit()
    assert take(intake, project, text) == {"model": "azureml:churn:1"}
    (project / "model" / "model.pkl").write_bytes(b"new weights")
    assert take(intake, project, text) == {"model": "azureml:churn:2"}
    assert len(registry.list("model")) == 1


def test_version_that_is_taken_is_a_conflict(intake: Intake, project: Path) -> None:
    """With the line of the version, and the version that is free."""
    text = "name: churn\nversion: 1\npath: model/model.pkl\n"
    registered(intake, text, project)
    deployment = "model:\n  path: model\n  name: churn\n  version: 1\nupstreams: ['http://127.0.0.1:9000']\n"
    with pytest.raises(Conflict) as error:
        take(intake, project, deployment)
    assert [str(problem) for problem in error.value.problems] == [
        f"{project}/deploy.yml:4: model.version: model churn:1 has another content; free is 2"
    ]
    assert str(error.value) == f"{project}/deploy.yml:4: model.version: model churn:1 has another content; free is 2"


def test_version_that_was_taken_meanwhile_is_a_conflict(intake: Intake, project: Path) -> None:
    """Nothing is registered over something else between planning and committing."""
    text = "model: {path: model, name: churn, version: 1}"
    work = taking(intake, change_of(project, text))
    work(yaml.safe_load(text))
    registered(intake, "{name: churn, version: 1, path: request.json}", project)
    with pytest.raises(Conflict, match=r"^model churn:1 has another content; free is 2$"):
        work.commit()


def test_bad_name_is_a_problem_of_its_field(intake: Intake, project: Path) -> None:
    """What a name may be is told with the line."""
    [problem] = refused(intake, project, "model:\n  path: model\n  name: my model\n")
    assert problem.startswith(f"{project}/deploy.yml:3: model.name: 'my model' is no name of a model; expected 1 to")


def test_named_model_is_checked_as_one_in_the_config_is(intake: Intake, project: Path) -> None:
    """It does not get into the config, so its fields are checked here."""
    text = "model:\n  name: churn\n  path: model\n  type: onnx\n  color: red\n"
    assert refused(intake, project, text) == [
        f"{project}/deploy.yml:4: model.type: the text 'onnx', expected custom_model, mlflow_model or triton_model",
        f"{project}/deploy.yml:5: model.color: unknown field; "
        "there is path, name, version, type, description, tags, properties",
    ]


@pytest.mark.parametrize("path", ["''", "null", "[1]", "{a: 1}"])
def test_named_model_has_a_path(intake: Intake, project: Path, path: str) -> None:
    """A name without files is not registered."""
    assert len(refused(intake, project, f"model: {{name: churn, path: {path}}}")) == 1


def test_named_environment_is_registered(intake: Intake, project: Path, registry: Registry) -> None:
    """With all that makes it this version."""
    text = "environment: {name: sklearn, version: '1.0', conda_file: environment/conda.yaml, image: base}"
    work = taking(intake, change_of(project, text))
    assert work(yaml.safe_load(text)) == {"environment": "azureml:sklearn:1.0"}
    work.commit()
    digest = Content.of(project / "environment" / "conda.yaml").digest
    asset = registry.get("environment", "sklearn", "1.0")
    assert (asset.copies, asset.fields) == ({"conda_file": f"{digest}/conda.yaml"}, {"image": "base"})


def test_latest_is_pinned(intake: Intake, project: Path) -> None:
    """A deployment keeps what it was given when newer versions come."""
    registered(intake, "{name: Churn, version: 5, path: model}", project)
    assert take(intake, project, "model: azureml:churn@latest") == {"model": "azureml:Churn:5"}


def test_reference_that_is_there_stays(intake: Intake, project: Path, registry: Registry) -> None:
    """A version is itself, archived too."""
    registered(intake, "{name: churn, version: 5, path: model}", project)
    registry.archive("model", "churn", "5")
    assert take(intake, project, "model: azureml:churn:5") == {"model": "azureml:churn:5"}


def test_reference_to_nothing_is_a_problem(intake: Intake, project: Path) -> None:
    """Of models and environments, both at once."""
    registered(intake, "{name: churn, version: 5, path: model}", project)
    assert refused(intake, project, "model: azureml:churn:6\nenvironment: azureml:sklearn@latest\n") == [
        f"{project}/deploy.yml:1: model: model churn has no version 6; there is 5",
        f"{project}/deploy.yml:2: environment: there is no environment sklearn; there is none",
    ]


def test_reference_whose_copy_is_gone_is_a_problem(intake: Intake, project: Path, store: ContentStore) -> None:
    """A deployment that could not start is not begun."""
    registered(intake, "{name: churn, version: 5, path: model}", project)
    shutil.rmtree(store.root)
    [problem] = refused(intake, project, "model: azureml:churn:5")
    assert "the copy of azureml:churn:5 is gone" in problem


def test_script_is_checked_in_a_registered_environment(intake: Intake, project: Path) -> None:
    """A registered environment says which Python reads the script, as an inline one does."""
    (project / "onlinescoring" / "score.py").write_text("def\n")
    text = "code_configuration: {code: onlinescoring, scoring_script: score.py}\nenvironment: azureml:{}:1\n"
    for name, python in (("own", f"{sys.version_info[0]}.{sys.version_info[1]}"), ("newer", "3.99")):
        definition = f"{{name: {name}, version: 1, conda_file: {{dependencies: [python={python}]}}}}"
        intake.register("environment", change_of(project, definition))
    assert len(refused(intake, project, text.replace("{}", "own"))) == 1
    assert "environment" in take(intake, project, text.replace("{}", "newer"))


# Definitions of their own


def test_model_is_registered_by_its_definition(intake: Intake, project: Path, store: ContentStore) -> None:
    """Azure's fields are kept, those that only `show` prints are dropped."""
    text = """\
        $schema: https://azuremlschemas.azureedge.net/latest/model.schema.json
        id: azureml:churn:1
        name: churn
        version: 7
        path: model
        type: custom_model
        description: A model.
        stage: Production
        """
    created = intake.register("model", change_of(project, text))
    assert (created.is_new, created.asset.id) == (True, "azureml:churn:7")
    assert created.asset.fields == {"stage": "Production", "type": "custom_model", "description": "A model."}
    again = intake.register("model", change_of(project, text))
    assert (again.is_new, again.asset) == (False, created.asset)
    assert store.has(created.asset.copies["path"].partition("/")[0])


def test_model_is_registered_by_values_alone(intake: Intake, project: Path, store: ContentStore) -> None:
    """`model create --name churn --path model` has no file."""
    digest = store.add(project / "model")
    change = Change(set={"name": "churn", "path": "model"}, content={"path": digest})
    assert intake.register("model", change).asset.copies == {"path": f"{digest}/model"}


def test_environment_is_registered_by_its_definition(intake: Intake, project: Path) -> None:
    """With a conda file, an image, and whatever describes it."""
    text = "{name: sklearn, image: base, conda_file: environment/conda.yaml, tags: {a: 1}}"
    asset = intake.register("environment", change_of(project, text)).asset
    assert (asset.id, asset.fields) == ("azureml:sklearn:1", {"image": "base", "tags": {"a": "1"}})


def test_definition_without_name_and_path_is_refused(intake: Intake, project: Path) -> None:
    """All that is missing and all that is wrong, at once."""
    with pytest.raises(Invalid) as error:
        intake.register("model", change_of(project, "version: 1\ncolour: red\n"))
    assert [str(problem) for problem in error.value.problems] == [
        f"{project}/deploy.yml: name: missing; it has no default",
        f"{project}/deploy.yml: path: missing; it has no default",
        f"{project}/deploy.yml:2: colour: unknown field; "
        "there is path, name, version, type, description, tags, properties",
    ]


def test_definition_of_a_version_that_is_taken_is_a_conflict(intake: Intake, project: Path) -> None:
    """With its line."""
    registered(intake, "name: churn\nversion: 1\npath: model\n", project)
    with pytest.raises(Conflict) as error:
        registered(intake, "name: churn\nversion: 1\npath: request.json\n", project)
    assert str(error.value) == f"{project}/deploy.yml:2: version: model churn:1 has another content; free is 2"


def test_definition_with_a_bad_name_is_refused(intake: Intake, project: Path) -> None:
    """With its line."""
    with pytest.raises(Invalid, match=rf"^{project}/deploy.yml:2: name: '\.\.' is no name of a model; expected 1 to"):
        registered(intake, "path: model\nname: ..\n", project)


def test_definition_that_is_no_yaml_is_refused(intake: Intake, project: Path) -> None:
    """With the place."""
    with pytest.raises(Invalid, match=rf"^{project}/deploy.yml:1: not YAML"):
        registered(intake, "{name: [", project)

"""The example that ships with the configuration: two models and their scoring scripts."""

import importlib.util
import json
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from workers.finder import install

MODELS = Path(__file__).parents[2] / "config" / "models"
SAMPLE = (MODELS / "sample-request.json").read_text()
EXPECTED = "data must be one or more rows of 10 numbers: age, sex, bmi, bp, s1, s2, s3, s4, s5, s6"

Load = Callable[[str], ModuleType]


def load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{file.parent.name}_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def train() -> ModuleType:
    return load(MODELS / "train.py")


@pytest.fixture(scope="module")
def trained(train: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both models."""
    folder = tmp_path_factory.mktemp("models")
    assert train.train(folder) == {"blue": True, "green": True}
    return folder


@pytest.fixture
def azureml(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`azureml.contrib.services` as the worker makes it importable, for one test."""
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    before = set(sys.modules)
    install()
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] == "azureml":
            del sys.modules[name]


@pytest.fixture
def started(azureml: None, trained: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load a deployment's scoring script and run its init()."""

    def start(name: str) -> ModuleType:
        monkeypatch.setenv("AZUREML_MODEL_DIR", str(trained / name))
        script = load(MODELS / name / "score.py")
        script.init()
        return script

    return start


@pytest.mark.parametrize("name", ["blue", "green"])
def test_model_is_worth_serving(trained: Path, name: str) -> None:
    """Each model explains a good part of what it has not seen."""
    assert json.loads((trained / name / "model.json").read_text())["r2_on_holdout"] > 0.3


@pytest.mark.parametrize("name", ["blue", "green"])
def test_card_names_the_versions(trained: Path, name: str) -> None:
    """The file beside a model says with what it was made."""
    card = json.loads((trained / name / "model.json").read_text())
    assert set(card) == {"estimator", "python", "scikit-learn", "numpy", "r2_on_holdout"}


def test_current_models_are_kept(train: ModuleType, trained: Path) -> None:
    """A second training with the same versions trains nothing."""
    assert train.train(trained) == {"blue": False, "green": False}


def test_model_of_another_version_is_trained_again(train: ModuleType, trained: Path, tmp_path: Path) -> None:
    """A model that another scikit-learn wrote is replaced, and the other one is kept."""
    for name in ("blue", "green"):
        (tmp_path / name).mkdir()
        for file in (trained / name).iterdir():
            (tmp_path / name / file.name).write_bytes(file.read_bytes())
    card = json.loads((tmp_path / "green" / "model.json").read_text())
    (tmp_path / "green" / "model.json").write_text(json.dumps(card | {"scikit-learn": "0.1"}))
    assert train.train(tmp_path) == {"blue": False, "green": True}


def test_missing_model_is_trained_again(train: ModuleType, tmp_path: Path) -> None:
    """A card without its model counts for nothing."""
    blue = train.estimators()["blue"]
    train.train_one(tmp_path, blue)
    (tmp_path / "model.pkl").unlink()
    assert train.train_one(tmp_path, blue) is True
    assert pickle.loads((tmp_path / "model.pkl").read_bytes()).n_features_in_ == 10


def test_blue_and_green_disagree(started: Load) -> None:
    """The two models give really different answers to the sample, and each answer says whose it is."""
    blue, green = started("blue").run(SAMPLE), started("green").run(SAMPLE)
    assert (blue["model"], blue["kind"]) == ("blue", "Ridge")
    assert (green["model"], green["kind"]) == ("green", "GradientBoostingRegressor")
    assert blue["predictions"] != pytest.approx(green["predictions"], abs=1)


@pytest.mark.parametrize("name", ["blue", "green"])
def test_answer_is_json(started: Load, name: str) -> None:
    """There is a plain number for each row."""
    answer = json.loads(json.dumps(started(name).run(SAMPLE)))
    assert [type(prediction) for prediction in answer["predictions"]] == [float, float]


@pytest.mark.parametrize("name", ["blue", "green"])
@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("", "the body is not JSON: Expecting value: line 1 column 1 (char 0)"),
        ("[1]", 'the body must be {"data": [[...], ...]}'),
        ('{"rows": 1}', 'the body must be {"data": [[...], ...]}'),
        ('{"data": 1}', EXPECTED),
        ('{"data": []}', EXPECTED),
        ('{"data": [1]}', EXPECTED),
        ('{"data": [[1, 2]]}', EXPECTED),
        ('{"data": [[1, 2], [1]]}', EXPECTED),
        ('{"data": [[1,2,3,4,5,6,7,8,9,"x"]]}', EXPECTED),
        ('{"data": [[1,2,3,4,5,6,7,8,9,null]]}', EXPECTED),
        ('{"data": [[1,2,3,4,5,6,7,8,9,[1]]]}', EXPECTED),
        ('{"data": [[1,2,3,4,5,6,7,8,9,NaN]]}', "every number must be finite"),
    ],
)
def test_bad_request_is_told_what_is_wrong(started: Load, name: str, body: str, problem: str) -> None:
    """A request that cannot be scored is answered with 400 and the reason."""
    answer = started(name).run(body)
    assert answer.status_code == 400
    assert json.loads(answer.data) == {"error": problem}

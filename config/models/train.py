"""Train the example's two models: `python config/models/train.py`.

Both predict the progress of diabetes after a year from ten measurements (scikit-learn's diabetes data, in their own
units: age, sex, bmi, bp, s1 ... s6). Blue, in production, is a ridge regression; green, the candidate, boosts trees.
A model that the same settings and versions made is kept: a pickle is only good for the versions that wrote it.
"""

import argparse
import json
import os
import pickle
import platform
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import sklearn
from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = 7
HOLDOUT_RATIO = 0.25


def estimators() -> dict[str, Pipeline]:
    """The untrained models by the name of their deployment."""
    trees = GradientBoostingRegressor(
        n_estimators=150, max_depth=3, learning_rate=0.05, subsample=0.8, random_state=SEED
    )
    return {"blue": make_pipeline(StandardScaler(), Ridge(alpha=1.0)), "green": make_pipeline(trees)}


def train(folder: Path) -> dict[str, bool]:
    """Write `<name>/model.pkl` and `<name>/model.json` below a folder; say for each model whether it was trained."""
    return {name: train_one(folder / name, estimator) for name, estimator in estimators().items()}


def train_one(folder: Path, estimator: Pipeline) -> bool:
    """Train one model unless the folder has it already; return whether it was trained."""
    card = describe(estimator)
    if is_current(folder, card):
        return False
    features, target = load_diabetes(return_X_y=True, scaled=False)
    train_x, test_x, train_y, test_y = train_test_split(features, target, test_size=HOLDOUT_RATIO, random_state=SEED)
    estimator.fit(train_x, train_y)
    card["r2_on_holdout"] = round(estimator.score(test_x, test_y), 3)
    folder.mkdir(parents=True, exist_ok=True)
    # The card comes last: it vouches for the model beside it.
    write_atomically(folder / "model.pkl", pickle.dumps(estimator))
    write_atomically(folder / "model.json", (json.dumps(card, indent=2) + "\n").encode())
    return True


def describe(estimator: Pipeline) -> dict[str, object]:
    """What a trained model depends on."""
    return {
        "estimator": " ".join(repr(estimator).split()),
        "python": platform.python_version(),
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
    }


def is_current(folder: Path, card: Mapping[str, object]) -> bool:
    """Whether the folder's model was trained from the same things."""
    try:
        found = json.loads((folder / "model.json").read_text())
    except (FileNotFoundError, ValueError):
        return False
    return (folder / "model.pkl").exists() and card.items() <= found.items()


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file in one step, so that a deployment that starts meanwhile never loads half of it."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the example's blue and green models.")
    parser.add_argument("--into", type=Path, default=Path(__file__).parent, help="folder of blue/ and green/")
    folder = parser.parse_args().into
    for name, trained in train(folder).items():
        print(f"{folder / name / 'model.pkl'}: {'trained' if trained else 'is current'}")


if __name__ == "__main__":
    main()

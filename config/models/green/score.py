"""Score the green model: boosted trees over ten measurements (see ../train.py)."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
from azureml.contrib.services.aml_response import AMLResponse

MODEL = "green"
FEATURES = ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")
EXPECTED = f"data must be one or more rows of {len(FEATURES)} numbers: {', '.join(FEATURES)}"


def init():
    """Load the model once per worker; what fails here fails the deployment's start, not a request."""
    global model  # noqa: PLW0603 - how init() hands the model to run()
    model = pickle.loads(Path(os.environ["AZUREML_MODEL_DIR"], "model.pkl").read_bytes())


def run(raw_data):
    """Predict one number for each row of `{"data": [[10 numbers], ...]}`."""
    try:
        rows = read_rows(raw_data)
    except ValueError as error:
        return AMLResponse({"error": str(error)}, 400, json_str=True)
    kind = type(model[-1]).__name__
    return {"predictions": model.predict(rows).round(3).tolist(), "model": MODEL, "kind": kind}


def read_rows(raw_data):
    """The request's rows as a matrix; a ValueError tells the client what is wrong with them."""
    try:
        request = json.loads(raw_data)
    except ValueError as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    if not isinstance(request, dict) or "data" not in request:
        raise ValueError('the body must be {"data": [[...], ...]}')
    try:
        rows = np.asarray(request["data"])
    except ValueError as error:  # rows of different lengths
        raise ValueError(EXPECTED) from error
    if rows.ndim != 2 or rows.shape[1] != len(FEATURES) or rows.dtype.kind not in "iuf":
        raise ValueError(EXPECTED)
    if not np.isfinite(rows).all():
        raise ValueError("every number must be finite")
    return rows

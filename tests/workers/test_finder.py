"""`azureml.contrib.services` next to whatever else is called `azureml`."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

INSTALL = f"import sys; sys.path[:0] = [{str(ROOT)!r}, '.']; from workers import finder; finder.install(); "


def test_every_way_to_import_works(tmp_path):
    """From, as, and dotted."""
    assert (
        _python(
            tmp_path,
            "import azureml.contrib.services.aml_request as one; "
            "from azureml.contrib.services import aml_response; "
            "from azureml.contrib.services.aml_request import AMLRequest, rawhttp; "
            "from azureml_inference_server_http.api.aml_response import AMLResponse; "
            "import azureml.contrib.services.aml_response; "
            "print(one.AMLRequest is AMLRequest, azureml.contrib.services.aml_response.AMLResponse is AMLResponse)",
        )
        == "True True\n"
    )


def test_an_installed_azureml_keeps_what_it_has(tmp_path):
    """A regular package or a namespace: its own modules are found first."""
    (tmp_path / "azureml" / "contrib").mkdir(parents=True)
    (tmp_path / "azureml" / "core.py").write_text("VALUE = 'theirs'")
    (tmp_path / "azureml" / "contrib" / "__init__.py").write_text("VALUE = 'also theirs'")
    assert (
        _python(
            tmp_path,
            "import azureml.core, azureml.contrib; from azureml.contrib.services.aml_request import rawhttp; "
            "print(azureml.core.VALUE, azureml.contrib.VALUE, rawhttp.__module__)",
        )
        == "theirs also theirs workers.aml\n"
    )


def test_the_real_request_class_is_not_used(tmp_path):
    """It is Flask's, and would need a running Flask application."""
    services = tmp_path / "azureml" / "contrib" / "services"
    services.mkdir(parents=True)
    (services / "aml_request.py").write_text("raise ImportError('no flask')")
    assert (
        _python(tmp_path, "from azureml.contrib.services.aml_request import AMLRequest; print(AMLRequest.__module__)")
        == "workers.aml\n"
    )


def test_other_modules_are_missing_as_before(tmp_path):
    """Nothing else is made up."""
    assert (
        _python(
            tmp_path,
            "import importlib.util; print(importlib.util.find_spec('azureml.core'), importlib.util.find_spec('azure'))",
        )
        == "None None\n"
    )


def _python(place: Path, code: str) -> str:
    command = [sys.executable, "-c", INSTALL + code]
    return subprocess.run(command, cwd=place, check=True, capture_output=True, text=True).stdout

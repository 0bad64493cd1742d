"""What a valid config names and the disk does not have.

Such a problem does not refuse the config: the daemon marks that deployment as failed and serves the others.
"""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from router.control.certificate import PairError, read_pair
from router.control.config.deployment import CodeConfig, DeploymentConfig, EnvironmentConfig, ModelConfig
from router.control.config.load import Loaded
from router.control.config.problem import Problem
from router.control.config.script import script_problems
from router.control.recipe import RecipeError, read_conda_recipe, read_requirements_recipe
from router.core.rules import Breach


def asset_problems(endpoint: str, name: str, deployment: DeploymentConfig) -> list[str]:
    """What keeps a deployment from starting, one sentence each; nothing for `upstreams`."""
    return [
        f"{'.'.join((endpoint, 'deployments', name, *map(str, breach.path)))}: {breach.message}"
        for breach in _asset_breaches(deployment)
    ]


def located_asset_problems(loaded: Loaded) -> list[Problem]:
    """The same for every deployment of a config file, and for the certificate and the admin token, with lines."""
    token_file = loaded.config.admin.token_file
    problems = [
        loaded.problem(("admin", *breach.path), breach.message)
        for breach in (_file_breaches(("token_file",), token_file) if token_file else ())
    ]
    return [*_pair_problems(loaded), *problems] + [
        loaded.problem(("endpoints", endpoint_name, "deployments", name, *breach.path), breach.message)
        for endpoint_name, endpoint in loaded.config.endpoints.items()
        for name, deployment in endpoint.deployments.items()
        for breach in _asset_breaches(deployment)
    ]


def located_expiry(loaded: Loaded, now: float) -> list[Problem]:
    """That the certificate has expired; it is served all the same.

    Args:
        now: Unix time.
    """
    tls = loaded.config.tls
    with suppress(PairError):
        if tls is not None and (not_after := read_pair(tls).view.not_after) <= now:
            ended = datetime.fromtimestamp(not_after, UTC)
            message = f"{tls.certificate} expired on {ended:%Y-%m-%d}; clients refuse it"
            return [loaded.problem(("tls", "certificate"), message)]
    return []


def _pair_problems(loaded: Loaded) -> Iterator[Problem]:
    if loaded.config.tls is not None:
        try:
            read_pair(loaded.config.tls)
        except PairError as error:
            yield loaded.problem(("tls", error.field), str(error))


def _asset_breaches(deployment: DeploymentConfig) -> Iterator[Breach]:
    if not deployment.is_managed:
        return
    if isinstance(deployment.model, ModelConfig) and deployment.model.path is not None:
        yield from _exists(("model", "path"), deployment.model.path)
    if isinstance(deployment.environment, EnvironmentConfig):
        yield from _environment_breaches(deployment.environment)
    if deployment.code_configuration is not None:
        is_own = _runs_on_own_interpreter(deployment.environment)
        yield from _code_breaches(deployment.code_configuration, check_syntax=is_own)
    if deployment.warmup_request is not None:
        yield from _file_breaches(("warmup_request", "path"), deployment.warmup_request.path)


def _exists(path: tuple[str, ...], file: Path) -> Iterator[Breach]:
    try:
        file.stat()
    except OSError as error:
        yield Breach(path, f"{file}: {error.strerror}")


def _file_breaches(path: tuple[str, ...], file: Path) -> Iterator[Breach]:
    try:
        mode = file.stat().st_mode
    except OSError as error:
        yield Breach(path, f"{file}: {error.strerror}")
        return
    if not stat.S_ISREG(mode):
        yield Breach(path, f"{file} is not a file")


def _environment_breaches(environment: EnvironmentConfig) -> Iterator[Breach]:
    try:
        if environment.conda_file is not None:
            read_conda_recipe(environment.conda_file, ())
        if environment.requirements is not None:
            read_requirements_recipe(environment.requirements, ())
    except RecipeError as error:
        yield Breach(("environment", "conda_file" if environment.conda_file else "requirements"), str(error))
    python = environment.python
    if python is not None and not (python.is_file() and os.access(python, os.X_OK)):
        yield Breach(("environment", "python"), f"{python} is not an executable file")


def _runs_on_own_interpreter(environment: EnvironmentConfig | str) -> bool:
    """Whether the script is read by the Python that runs teal; another one may know more syntax, or less."""
    if isinstance(environment, str) or environment.python is not None:
        return False
    if environment.conda_file is None:
        return True
    try:
        return read_conda_recipe(environment.conda_file, ()).interpreter == sys.executable
    except RecipeError:
        return False


def _code_breaches(code: CodeConfig, *, check_syntax: bool) -> Iterator[Breach]:
    if not code.code.is_dir():
        yield Breach(("code_configuration", "code"), f"{code.code} is not a folder")
        return
    for problem in script_problems(code.code, code.scoring_script, check_syntax=check_syntax):
        yield Breach(("code_configuration", "scoring_script"), problem)

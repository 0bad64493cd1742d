"""Makes `azureml.contrib.services` importable where Azure's own packages are not installed."""

from __future__ import annotations

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Optional, Sequence

from workers import aml

# Always ours: the real ones are Flask's request and response, which need a running Flask application.
LEAVES = {
    "azureml.contrib.services.aml_request": ("AMLRequest", "rawhttp"),
    "azureml.contrib.services.aml_response": ("AMLResponse",),
    "azureml_inference_server_http.api.aml_request": ("AMLRequest", "rawhttp"),
    "azureml_inference_server_http.api.aml_response": ("AMLResponse",),
}
# Ours only where nobody else has them, so that an installed `azureml` keeps all it has.
PARENTS = frozenset(
    (
        "azureml",
        "azureml.contrib",
        "azureml.contrib.services",
        "azureml_inference_server_http",
        "azureml_inference_server_http.api",
    )
)


def install() -> None:
    """Add the finders to this process; once is enough."""
    if not any(isinstance(finder, _Leaves) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Leaves())
        sys.meta_path.append(_Parents())


class _Leaves(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Optional[Sequence[str]], target: Optional[ModuleType] = None
    ) -> Optional[ModuleSpec]:
        return ModuleSpec(fullname, _AmlLoader()) if fullname in LEAVES else None


class _Parents(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Optional[Sequence[str]], target: Optional[ModuleType] = None
    ) -> Optional[ModuleSpec]:
        # No loader, is_package: an empty namespace package.
        return ModuleSpec(fullname, None, is_package=True) if fullname in PARENTS else None


class _AmlLoader(Loader):
    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        for name in LEAVES[module.__name__]:
            setattr(module, name, getattr(aml, name))

"""The API description at `/swagger.json`: the script's own file, or one made from its `inference_schema` decorators."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

from workers.contract import Run, is_schema_decorated
from workers.encode import JSON_HEAD, Answer, encode_json, refusal

DEFAULT_VERSION = "2"
ALIASES = {"2": "2", "2.0": "2", "3": "3", "3.0": "3", "3.1": "3.1"}
OWN_FILES = {"2": ("swagger.json", "swagger2.json"), "3": ("swagger3.json",), "3.1": ("swagger3.1.json",)}

ANY_OBJECT: Mapping[str, Any] = {"type": "object", "example": {}}
ERROR = {"type": "object", "properties": {"message": {"type": "string"}}}
HEALTH = "Answers `Healthy` while the service is up."
SCORE = "Runs the model on the input and answers with its output."


class Swagger:
    """The descriptions of one script, by version, made once."""

    def __init__(self, run: Run, code_dir: Path) -> None:
        documents = {version: _read_own(code_dir, version) or _generate(run, version) for version in OWN_FILES}
        self._documents = {version: document for version, document in documents.items() if document is not None}

    def answer(self, version: Optional[str]) -> Answer:
        """Return the description in the version asked for, or 404 naming those there are."""
        document = self._documents.get(ALIASES.get(version or DEFAULT_VERSION, ""))
        if document is None:
            supported = ", ".join(self._documents) or "none"
            return refusal(404, f"Swagger version [{version}] is not supported. Supported versions: [{supported}].")
        return Answer(200, JSON_HEAD, document)


def _read_own(code_dir: Path, version: str) -> Optional[bytes]:
    for name in OWN_FILES[version]:
        file = code_dir / name
        if file.is_file():
            return encode_json(json.loads(file.read_bytes()))
    return None


def _generate(run: Run, version: str) -> Optional[bytes]:
    schemas = _schemas(run, version)
    if schemas is None:
        return None
    return encode_json(_version_2(schemas) if version == "2" else _version_3(schemas, f"{float(version)}.0"))


def _schemas(run: Run, version: str) -> Optional[Dict[str, Any]]:
    """Return the parts that other parts refer to; None if the decorators do not support `version`."""
    if not is_schema_decorated(run):
        return {"ServiceInput": ANY_OBJECT, "ServiceOutput": ANY_OBJECT, "ErrorResponse": ERROR}
    schema_util = sys.modules["inference_schema.schema_util"]
    if not {name for name, meant in ALIASES.items() if meant == version} & set(schema_util.get_supported_versions(run)):
        return None
    return {
        "ServiceInput": schema_util.get_input_schema(run),
        "ServiceOutput": schema_util.get_output_schema(run),
        "ErrorResponse": ERROR,
    }


def _version_2(schemas: Dict[str, Any]) -> Dict[str, Any]:
    def answers(description: str, schema: Mapping[str, Any]) -> Dict[str, Any]:
        failed = {"description": "It failed.", "schema": _ref("definitions", "ErrorResponse")}
        return {"200": {"description": description, "schema": schema}, "default": failed}

    body = {"name": "serviceInputPayload", "in": "body", "schema": _ref("definitions", "ServiceInput")}
    score = answers("The output.", _ref("definitions", "ServiceOutput"))
    return {
        "swagger": "2.0",
        "info": _info(),
        "schemes": ["http", "https"],
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "securityDefinitions": {"Bearer": {"type": "apiKey", "name": "Authorization", "in": "header"}},
        "paths": _paths(answers(HEALTH, {"type": "string"}), score, {"parameters": [body]}),
        "definitions": schemas,
    }


def _version_3(schemas: Dict[str, Any], openapi: str) -> Dict[str, Any]:
    def content(schema: Mapping[str, Any], kind: str = "application/json") -> Dict[str, Any]:
        return {"content": {kind: {"schema": schema}}}

    def answers(description: str, body: Dict[str, Any]) -> Dict[str, Any]:
        failed = {"description": "It failed.", **content(_ref("components/schemas", "ErrorResponse"))}
        return {"200": {"description": description, **body}, "default": failed}

    healthy = answers(HEALTH, content({"type": "string"}, "text/plain"))
    score = answers("The output.", content(_ref("components/schemas", "ServiceOutput")))
    bearer = {"type": "http", "scheme": "bearer"}
    return {
        "openapi": openapi,
        "info": _info(),
        "paths": _paths(healthy, score, {"requestBody": content(_ref("components/schemas", "ServiceInput"))}),
        "components": {"securitySchemes": {"Bearer": bearer}, "schemas": schemas},
    }


def _paths(healthy: Dict[str, Any], score: Dict[str, Any], body: Dict[str, Any]) -> Dict[str, Any]:
    needs_key: List[Dict[str, List[str]]] = [{"Bearer": []}]
    return {
        "/": {"get": {"operationId": "ServiceHealthCheck", "description": HEALTH, "responses": healthy}},
        "/score": {
            "post": {
                "operationId": "RunMLService",
                "description": SCORE,
                "security": needs_key,
                **body,
                "responses": score,
            }
        },
    }


def _info() -> Dict[str, str]:
    title = os.environ.get("SERVICE_NAME", "ML service")
    return {"title": title, "description": f"API of {title}", "version": os.environ.get("SERVICE_VERSION", "1.0")}


def _ref(where: str, name: str) -> Dict[str, str]:
    return {"$ref": f"#/{where}/{name}"}

"""The description of the admin API that it serves of itself, made from its routes."""

import re
from collections.abc import Iterable, Mapping, Sequence
from types import UnionType
from typing import Any, get_args

import msgspec

from router import __version__
from router.control.api.routes import Access, ErrorBody, Route

_REF = "#/components/schemas/{name}"
_ABOUT = (
    "What the `teal` command does, as HTTP and JSON: on the Unix socket `run/admin.sock` in the state directory, and "
    "at `admin.http`. There, what changes something or shows a secret asks for the bearer token of "
    "`admin.token_file`; without one it is served on the Unix socket only. A refusal has the body of `ErrorBody`."
)


def describe(routes: Sequence[Route]) -> dict[str, object]:
    """An OpenAPI 3.1 document."""
    types = [kind for route in routes for kind in (*_kinds(route.body), *_kinds(route.answer))]
    schemas, components = msgspec.json.schema_components([*types, ErrorBody], ref_template=_REF, schema_hook=_anything)
    described = iter(schemas)
    paths: dict[str, dict[str, object]] = {}
    for route in routes:
        body = _one_of([next(described) for _ in _kinds(route.body)])
        answer = _one_of([next(described) for _ in _kinds(route.answer)])
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, body, answer)
    return {
        "openapi": "3.1.0",
        "info": {"title": "teal admin API", "version": __version__, "description": _ABOUT},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _kinds(kind: object) -> Sequence[object]:
    """A type, each of a union's, or nothing; msgspec describes no union of structs that have no tag."""
    if kind is None:
        return ()
    return get_args(kind) if isinstance(kind, UnionType) else (kind,)


def _one_of(schemas: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    return {"anyOf": schemas} if len(schemas) > 1 else next(iter(schemas), None)


def _anything(_: type) -> dict[str, object]:
    """The schema of `object`."""
    return {"description": "Any JSON value."}  # an empty schema, which says the same, is taken for none


def _operation(route: Route, body: Mapping[str, Any] | None, answer: Mapping[str, Any] | None) -> dict[str, object]:
    operation: dict[str, object] = {
        "operationId": _name(route),
        "summary": route.summary,
        "parameters": [*_path_parameters(route.path), *_query_parameters(route.query)],
        "responses": {
            str(route.status): {"description": "Done."} | (_json(answer) if answer is not None else {}),
            "default": {"description": "Refused; nothing was changed."}
            | _json({"$ref": "#/components/schemas/ErrorBody"}),
        },
    }
    if body is not None:
        operation["requestBody"] = {"required": True} | _json(body)
    if route.access is Access.TRUSTED:
        operation["security"] = [{"token": []}]
    return operation


def _name(route: Route) -> str:
    """Such as `put_endpoints_endpoint`."""
    words = re.findall(r"[a-z]+", route.path.removeprefix("/v1"))
    return "_".join([route.method.lower(), *words])


def _path_parameters(path: str) -> Iterable[dict[str, object]]:
    for name in re.findall(r"{(\w+)}", path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query_parameters(query: Mapping[str, str]) -> Iterable[dict[str, object]]:
    for name, description in query.items():
        yield {"name": name, "in": "query", "description": description, "schema": {"type": "string"}}


def _json(schema: Mapping[str, Any]) -> dict[str, object]:
    return {"content": {"application/json": {"schema": schema}}}

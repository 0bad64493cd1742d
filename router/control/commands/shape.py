"""What is wrong with a deployment's fields, whatever its paths lead to."""

import json
from collections.abc import Iterator, Mapping

from pydantic import ValidationError

from router.control.commands.definitions import PATH_FIELDS, split, value_at, with_values
from router.control.config.document import KeyPath, UnreadableError, read_document
from router.control.config.explain import explain
from router.control.config.schema import RouterConfig

#: Steps to a deployment in the config.
_DEPTH = 4


def deployment_problems(fields: Mapping[str, object]) -> Iterator[tuple[KeyPath, str]]:
    """Every field of a deployment that has not the shape which the config asks for, and what would be right."""
    found = ((split(field), value_at(fields, split(field))) for field in PATH_FIELDS)
    # An inline conda file stands in the place of a path.
    paths = [(path, "/") for path, value in found if value and isinstance(value, str | Mapping)]
    try:
        document = read_document(json.dumps({"endpoints": {"a": {"deployments": {"a": with_values(fields, paths)}}}}))
    except UnreadableError:
        return  # nested as deep as can be: whoever puts it into the config says so
    try:
        RouterConfig.model_validate(document.data)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            path, message = explain(detail, document)
            yield path[_DEPTH:], message

"""Bodies and answers of the admin API."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

import msgspec

OperationStatus = Literal["InProgress", "Succeeded", "Failed", "Canceled"]


class Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a resource shall become.

    Attributes:
        definition: Text of a YAML or JSON file as Azure's commands take them.
        file: What messages call the definition; relative paths in it start at its folder.
        content: Digest of the uploaded copy that takes the place of the path in a field, by dotted field.
        set: Values by dotted field, over the definition or over what there is.
        remove: Dotted fields to take away.
        traffic: Live percent by deployment; those not named get 0. Endpoints only.
        mirror_traffic: Mirrored percent by deployment; those not named get 0. Endpoints only.
        all_traffic: Give the deployment all live traffic once it is there. Deployments only.
    """

    definition: str | None = None
    file: str | None = None
    content: Mapping[str, str] = {}
    set: Mapping[str, object] = {}
    remove: tuple[str, ...] = ()
    traffic: Mapping[str, float] | None = None
    mirror_traffic: Mapping[str, float] | None = None
    all_traffic: bool = False


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """One line of what an operation does; `at` is ISO 8601, UTC."""

    at: str
    text: str


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """Something that takes its time.

    Attributes:
        command: As on the command line, such as `online-deployment create`.
        deployment: Empty when the whole endpoint is meant.
        generation: First routing table that reflects the change; None before it is applied.
        reason: Why it failed or was cancelled.
        log_tail: Last lines of the deployment's log, when it failed.
        warnings: Fields that are kept and have no effect here.
    """

    id: str
    command: str
    endpoint: str
    deployment: str = ""
    status: OperationStatus = "InProgress"
    started: str
    ended: str | None = None
    generation: int | None = None
    progress: tuple[Progress, ...] = ()
    reason: str = ""
    log_tail: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class KeyChoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which of an endpoint's two keys."""

    key_type: Literal["primary", "secondary"]


class Keys(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Both keys of an endpoint; each opens it."""

    primary_key: str
    secondary_key: str


class Token(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A token that opens an endpoint for a while; times are Unix seconds."""

    access_token: str
    expiry_time_utc: int
    refresh_after_time_utc: int
    token_type: Literal["Bearer"] = "Bearer"


def iso(unix_s: float) -> str:
    """A time as ISO 8601, UTC."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""What is remembered of one request until it is counted and logged."""

from typing import Literal

import msgspec

USER_AGENT_CHARACTERS = 70
_encode = msgspec.json.Encoder().encode

Route = Literal["live", "pinned"]


class RequestRecord(msgspec.Struct, kw_only=True):
    """Filled in as the request goes on. Times are monotonic seconds, sizes bytes of body without framing.

    `endpoint` and `deployment` stay empty until they are found: client text never becomes a name here.
    """

    generation: int
    began: float
    request_id: str
    client_request_id: str = ""
    method: str = ""
    path: str = ""
    protocol: str = ""
    user_agent: str = ""
    endpoint: str = ""
    deployment: str = ""
    route: Route = "live"
    status: int = 0
    reason: str = ""  # why the router refused or gave up; empty for a forwarded answer
    model_status: int = 0  # the instance's own status; 0 if it gave none
    request_bytes: int = 0
    response_bytes: int = 0
    sent: float | None = None  # the request was handed to an instance
    answered: float | None = None  # the first byte of the instance's answer
    request_throttled_s: float = 0.0
    response_throttled_s: float = 0.0


def quoted_agent(user_agent: str) -> bytes:
    """A client's name, or as much of it as is logged, as JSON."""
    return _encode(user_agent[:USER_AGENT_CHARACTERS]) if user_agent else b'""'

"""Requests that switch to another protocol, and instances that take that up."""

from collections.abc import Awaitable, Callable
from typing import Any

from router.core.table import DeploymentSpec
from tests.proxy.conftest import KEY, RawClient, deployment
from tests.proxy.peers import Conversation, Peer, Script

BELOW = "/api/v1/endpoint/churn"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Own: 1\r\n\r\n"


def switchable(*peers: Peer, **more: Any) -> DeploymentSpec:
    """A deployment that passes WebSocket and a protocol `echo` on."""
    return deployment("blue", *peers, **{"passes_paths": True, "upgrades": ("websocket", "echo")} | more)


def get(*more: str, path: str = BELOW + "/ws", upgrade: str = "websocket", key: str = KEY) -> bytes:
    """A request to switch."""
    lines = [f"GET {path} HTTP/1.1", "Host: teal", f"Authorization: Bearer {key}", *more]
    return "\r\n".join([*lines, "Connection: Upgrade", f"Upgrade: {upgrade}"]).encode() + b"\r\n\r\n"


def switches(then: Callable[[Conversation], Awaitable[None]], answer: bytes = SWITCHED) -> Script:
    """An instance that takes the offer, and goes on with `then`."""

    async def script(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(answer)
        await then(conversation)

    return script


async def echo_raw(conversation: Conversation) -> None:
    """Send back what comes, to the end of it."""
    while part := await conversation.reader.read(65536):
        await conversation.send(part)


async def switch(one: RawClient, request: bytes | None = None) -> RawClient:
    """Have a client's connection switched."""
    await one.send(request or get())
    assert (await one.head()).startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    return one

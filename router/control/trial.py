"""A line to paste that scores a request: the first thing that a new user wants to see work."""

import asyncio
import shlex
import time
from pathlib import Path

from router.control.config.schema import EndpointConfig, RouterConfig
from router.control.state import State
from router.core.auth import issue_token


async def ready_text(base_url: str, config: RouterConfig, state: State, body: Path) -> bytes:
    """What is shown when the first request can be scored."""
    line = await asyncio.to_thread(curl_line, base_url, config, state, body, now=time.time())
    return f"\nReady. Score a request:\n\n{line}\n\n".encode()


def curl_line(base_url: str, config: RouterConfig, state: State, body: Path, *, now: float) -> str:
    """A `curl` command for the first endpoint, with its credential; `now` is Unix time."""
    name, endpoint = next(iter(config.endpoints.items()), ("my-endpoint", EndpointConfig()))
    command = ["curl", f"{base_url}/api/v1/endpoint/{name}/score"]
    if config.tls is not None:
        command += ["--cacert", str(config.tls.certificate)]
    if endpoint.auth_mode != "none":
        credentials = state.credentials(name)
        credential = credentials.primary
        if endpoint.auth_mode == "aml_token":
            secret, lifetime_s = credentials.token_secret, endpoint.token_lifetime_s
            credential = issue_token(name, secret, now=now, lifetime_s=lifetime_s)
        command += ["-H", f"Authorization: Bearer {credential}"]
    command += ["-H", "Content-Type: application/json", "-d", f"@{body}"]
    return " ".join(shlex.quote(word) for word in command)

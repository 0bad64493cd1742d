"""Asking an instance whether it is well, and counting its answers."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

import aiohttp
from yarl import URL

from router.awake import LATE_S
from router.control.supervisor.spec import Probe


async def check(address: str, path: str, timeout_s: float) -> str:
    """Ask `GET path` over a new connection; return "" if the answer is 2xx, otherwise what is wrong.

    It asks once more if this process stood still while it waited: the time that is over says nothing then.

    Args:
        address: `unix:/path` or `http://host:port`.
    """
    latest = monotonic() + timeout_s + LATE_S
    problem = await _ask(address, path, timeout_s)
    return await _ask(address, path, timeout_s) if problem and monotonic() > latest else problem


async def _ask(address: str, path: str, timeout_s: float) -> str:
    is_unix = address.startswith("unix:")
    connector: aiohttp.BaseConnector = (
        aiohttp.UnixConnector(address.removeprefix("unix:"), force_close=True)
        if is_unix
        else aiohttp.TCPConnector(force_close=True)
    )
    url = URL(("http://localhost" if is_unix else address.rstrip("/")) + path, encoded=True)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.get(url, timeout=aiohttp.ClientTimeout(total=timeout_s), allow_redirects=False) as answer,
        ):
            return "" if 200 <= answer.status < 300 else f"GET {path} answered {answer.status}"
    except TimeoutError:
        return f"GET {path} was not answered in {timeout_s:g} s"
    except (aiohttp.ClientError, OSError) as error:
        return f"GET {path} failed: {_reason(error)}"


def _reason(error: Exception) -> str:
    """Without the address, which the reader of a status has before him."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


class Verdict:
    """Whether an instance is healthy; turns after so many answers of the other kind in a row.

    Args:
        is_healthy: None if nothing is known yet, so that the first answer decides.
    """

    def __init__(self, *, is_healthy: bool | None) -> None:
        self.is_healthy = is_healthy
        self._contrary = 0  # answers in a row that speak against the verdict

    def count(self, is_good: bool, probe: Probe) -> bool:
        """Count an answer and return whether it turned the verdict."""
        if is_good is self.is_healthy:
            self._contrary = 0
            return False
        self._contrary += 1
        needed = probe.success_threshold if is_good else probe.failure_threshold
        if self.is_healthy is not None and self._contrary < needed:
            return False
        self.is_healthy = is_good
        self._contrary = 0
        return True


async def watch(
    ask: Callable[[float], Awaitable[str]],
    probe: Callable[[], Probe],
    verdict: Verdict,
    turned: Callable[[bool, str], None],
) -> None:
    """Check an instance for ever and tell each turn of the verdict, with what is wrong.

    Args:
        ask: One check that may take so many seconds; returns what is wrong, or "".
        probe: Looked up before each check, so that new settings count from the next one on.
    """
    while True:
        now = probe()
        problem = await ask(now.timeout_s)
        if verdict.count(not problem, now):
            turned(not problem, problem)
        await asyncio.sleep(now.period_s)

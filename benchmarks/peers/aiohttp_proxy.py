"""The reverse proxy people write with aiohttp: forwards POST /score to one upstream and does nothing else."""

import argparse
import asyncio
from collections.abc import AsyncIterator, Mapping

import uvloop
from aiohttp import ClientSession, TCPConnector, UnixConnector, web
from aiohttp.connector import BaseConnector
from multidict import CIMultiDict

HOP_BY_HOP = frozenset({"connection", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"})
MAX_UPSTREAM_CONNECTIONS = 256  # as many as teal gets per instance in the comparison

SESSION = web.AppKey("session", ClientSession)
UPSTREAM_URL = web.AppKey("upstream_url", str)


def end_to_end(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """The headers that a proxy passes on."""
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in HOP_BY_HOP)


async def forward(request: web.Request) -> web.Response:
    body = await request.read()
    session = request.app[SESSION]
    async with session.post(request.app[UPSTREAM_URL], data=body, headers=end_to_end(request.headers)) as answer:
        return web.Response(status=answer.status, headers=end_to_end(answer.headers), body=await answer.read())


def connector_to(upstream: str) -> tuple[BaseConnector, str]:
    """A keep-alive connector and the scoring address for `host:port` or `unix:/path`."""
    if upstream.startswith("unix:"):
        return UnixConnector(upstream.removeprefix("unix:"), limit=MAX_UPSTREAM_CONNECTIONS), "http://upstream/score"
    return TCPConnector(limit=MAX_UPSTREAM_CONNECTIONS), f"http://{upstream}/score"


async def open_session(app: web.Application, upstream: str) -> AsyncIterator[None]:
    connector, app[UPSTREAM_URL] = connector_to(upstream)
    # The answer's headers are passed on as they came, so its body must stay in the coding that they name.
    async with ClientSession(connector=connector, auto_decompress=False) as session:
        app[SESSION] = session
        yield


async def build_app(upstream: str) -> web.Application:
    app = web.Application()
    app.cleanup_ctx.append(lambda app: open_session(app, upstream))
    app.router.add_post("/score", forward)
    return app


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:8090", help="host:port")
    parser.add_argument("--upstream", required=True, help="host:port or unix:/path")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    host, _, port = arguments.listen.rpartition(":")
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    web.run_app(build_app(arguments.upstream), host=host, port=int(port), access_log=None, print=None)


if __name__ == "__main__":
    main()

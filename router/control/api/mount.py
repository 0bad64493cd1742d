"""Puts routes into an aiohttp application: who may use them, and how refusals are answered."""

from collections.abc import Sequence

import msgspec
import structlog
from aiohttp import ClientPayloadError, web
from aiohttp.typedefs import Handler

from router.control.api.openapi import describe
from router.control.api.routes import Access, ErrorMessage, Route, refuse, refused
from router.control.refusal import Forbidden, NotWritten, Refusal
from router.control.state import StateError

log = structlog.get_logger()

_API = "/v1/"
_OPENAPI = f"{_API}openapi.json"


class _Failure(Refusal):
    """A bug in the daemon; its log has the traceback."""

    status = 500
    code = "internal_error"


def mount(app: web.Application, routes: Sequence[Route], *, is_trusted: bool) -> None:
    """Serve `routes`, and their description.

    Args:
        is_trusted: Whether all who reach `app` may change things and see secrets.
    """
    app.middlewares.append(_answer_refusals)
    for route in routes:
        is_open = is_trusted or route.access is Access.READ
        app.router.add_route(route.method, route.path, route.handler if is_open else _forbid)
    description = msgspec.json.encode(describe(routes))

    async def serve_description(_request: web.Request) -> web.Response:
        return web.Response(body=description, content_type="application/json")

    app.router.add_get(_OPENAPI, serve_description)


@web.middleware
async def _answer_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refusal as refusal:
        return refuse(refusal)
    except StateError as error:
        return refuse(NotWritten(str(error)))
    except web.HTTPException as answer:  # aiohttp's own: no such path or method, or a body over the limit
        if request.path.startswith(_API):
            return _worded(answer)
        answer.headers["x-teal-reason"] = _code(answer)
        raise
    except Exception as error:
        if isinstance(error, ConnectionError | ClientPayloadError) and _has_gone(request):
            log.debug("api.client_gone", method=request.method, path=request.path, reason=str(error))
        else:
            log.exception("api.failed", method=request.method, path=request.path)
        return refuse(_Failure("the daemon failed to do this; its log has the reason"))


def _has_gone(request: web.Request) -> bool:
    """Whether nobody is there any more to read the answer."""
    return request.transport is None or request.transport.is_closing()


def _worded(answer: web.HTTPException) -> web.Response:
    """An answer of aiohttp's in the form that refusals have."""
    error = ErrorMessage(code=_code(answer), message=answer.text or answer.reason)
    response = refused(error, answer.status)
    if "allow" in answer.headers:
        response.headers["allow"] = answer.headers["allow"]
    return response


def _code(answer: web.HTTPException) -> str:
    """Its reason phrase as one word."""
    return answer.reason.lower().replace(" ", "_")


async def _forbid(_request: web.Request) -> web.StreamResponse:
    raise Forbidden("this needs the Unix socket run/admin.sock, or admin.token_file in the config and the token in it")

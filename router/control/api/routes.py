"""What a route of the admin API is: its address, what it takes and gives, and who may use it."""

import enum
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from router.control.refusal import Refusal

Body = TypeVar("Body", bound=msgspec.Struct)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: Definitions are small; what is large comes as content, which is streamed.
MAX_BODY_BYTES = 4 * 2**20


class Access(enum.Enum):
    """Who may use a route.

    READ: whoever reaches the site. TRUSTED, for what changes something or shows a secret: whoever may open the Unix
    socket, or has the token of the TCP address.
    """

    READ = "read"
    TRUSTED = "trusted"


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path.

    Attributes:
        path: In aiohttp's syntax, such as `/v1/endpoints/{endpoint}`.
        query: Description of each parameter of the query, by name.
        body: Struct of the JSON body; None if it takes none, or none that is JSON.
        answer: Type of the JSON answer; None if it is text or empty.
        status: Of an answer that is no refusal.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    access: Access = Access.TRUSTED
    query: Mapping[str, str] = field(default_factory=dict)
    body: type[msgspec.Struct] | None = None
    answer: Any = None
    status: int = 200


class ProblemMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to put right; `text` is all of it in one line, as compilers print theirs."""

    text: str
    file: str = ""
    line: int | None = None
    field: str = ""
    message: str = ""


class ErrorMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Why nothing was done."""

    code: str
    message: str
    problems: tuple[ProblemMessage, ...] = ()


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """Body of every answer that is a refusal."""

    error: ErrorMessage


def reply(value: object, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def refuse(refusal: Refusal) -> web.Response:
    """The answer that says why not."""
    problems = tuple(
        ProblemMessage(
            text=str(problem),
            file=str(problem.path or ""),
            line=problem.line,
            field=problem.field,
            message=problem.message,
        )
        for problem in refusal.problems
    )
    return refused(ErrorMessage(code=refusal.code, message=refusal.message, problems=problems), refusal.status)


def refused(error: ErrorMessage, status: int) -> web.Response:
    """An error as an answer; its code is in the header that scoring traffic has it in, too."""
    answer = reply(ErrorBody(error=error), status)
    answer.headers["x-teal-reason"] = error.code
    return answer


async def read_body(request: web.Request, kind: type[Body]) -> Body:
    """The JSON body of a request.

    Raises:
        Refusal: it is not JSON, or not of this shape; the message names the field.
    """
    body = await request.read()
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(f"the body of the request: {error}") from error


def read_number(request: web.Request, name: str, *, default: int, most: int) -> int:
    """A whole number from 0 to `most` in the query.

    Raises:
        Refusal: it is something else.
    """
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) <= most):
        raise Refusal(f"{name}={text} in the query; expected a whole number from 0 to {most}")
    return int(text)


def read_choice(request: web.Request, name: str, choices: tuple[str, ...]) -> str:
    """One of several words in the query; the first if there is none.

    Raises:
        Refusal: it is another word.
    """
    text = request.query.get(name, choices[0])
    if text not in choices:
        raise Refusal(f"{name}={text} in the query; expected {' or '.join(choices)}")
    return text

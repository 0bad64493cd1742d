"""What a strict and independent parser makes of the same bytes: h11."""

from dataclasses import dataclass

import h11

_MAX_EVENT_BYTES = 1 << 20


@dataclass(frozen=True)
class Message:
    """A request or an answer; `start` is method and target, or the status. Names are in lower case."""

    start: tuple[bytes, ...]
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def values(self, name: bytes) -> list[bytes]:
        """Values of the field."""
        return [value for key, value in self.fields if key == name]


@dataclass(frozen=True)
class Reading:
    """Messages that are whole, and whether nothing contradicts the rules.

    `rest` is what came behind them: of a message that is not whole, or behind a switch or an end.
    """

    messages: list[Message]
    is_clean: bool
    rest: bytes = b""


def read_requests(raw: bytes) -> Reading:
    """The requests of a connection, as a server reads them that answers each and lets the connection live."""
    connection = h11.Connection(h11.SERVER, _MAX_EVENT_BYTES)
    connection.receive_data(raw)
    messages: list[Message] = []
    try:
        while True:
            message = _next(connection)
            if message is None:
                return Reading(messages, is_clean=True, rest=connection.trailing_data[0])
            messages.append(message)
            answer = h11.Response(status_code=200, headers=[("Content-Length", "0")])
            connection.send(answer)
            connection.send(h11.EndOfMessage())
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return Reading(messages, is_clean=True, rest=connection.trailing_data[0])
            connection.start_next_cycle()
    except h11.ProtocolError:
        return Reading(messages, is_clean=False)


def read_answer(raw: bytes, request: h11.Request, *, has_ended: bool) -> Reading:
    """The answer to a request that has no body or has sent it; interim ones are left out."""
    connection = h11.Connection(h11.CLIENT, _MAX_EVENT_BYTES)
    try:
        connection.send(request)
        connection.send(h11.EndOfMessage())
        connection.receive_data(raw)
        if has_ended:
            connection.receive_data(b"")
        message = _next(connection)
    except h11.ProtocolError:
        return Reading([], is_clean=False)
    return Reading([message] if message else [], is_clean=message is not None, rest=connection.trailing_data[0])


def _next(connection: h11.Connection) -> Message | None:
    start: tuple[bytes, ...] = ()
    fields: tuple[tuple[bytes, bytes], ...] = ()
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA or event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
            return None
        if isinstance(event, h11.Request):
            start, fields = (event.method, event.target), tuple(event.headers)
        elif isinstance(event, h11.Response) or (
            isinstance(event, h11.InformationalResponse) and event.status_code == 101
        ):
            start, fields = (b"%d" % event.status_code,), tuple(event.headers)
            if event.status_code == 101:
                return Message(start, fields, b"")
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return Message(start, fields, body)

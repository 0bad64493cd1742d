# cython: cdivision=True
"""`plain_writing.py` for the compiled request path: the same functions, on bytes in memory."""

from cpython.bytes cimport PyBytes_AS_STRING
from libc.string cimport memcpy

from router.core.plain_reading cimport (
    MAX_FIELDS, PlainAnswer, PlainRequest, Roles, Span, Text, joined, keep, learn, next_field
)

from router.core import headers
from router.core.digits import milliseconds
from router.core.record import USER_AGENT_CHARACTERS, quoted_agent
from router.core.replies import TIMING as _TIMING
from router.core.replies import status_line

cdef enum:
    _NUMBER_BYTES = 32
    _MAX_PARTS = 32

cdef struct Number:
    Py_ssize_t size
    char text[_NUMBER_BYTES]

cdef struct Parts:
    Py_ssize_t number
    Span spans[_MAX_PARTS]

cdef Roles _copy_roles

cdef int DROP = headers.Role.DROP
cdef Py_ssize_t AGENT_BYTES = USER_AGENT_CHARACTERS
cdef bytes VIA = headers.VIA
cdef bytes TIMING = _TIMING
cdef bytes NOTHING = b"", QUOTE = b'"', CRLF = b"\r\n", HEAD_END = b"\r\n\r\n"
cdef bytes OK = status_line(200)
cdef bytes MARK_FIELD = CRLF + headers.MIRROR_MARK + b": 1"
cdef bytes DATE_FIELD = b"date: "
cdef bytes CONTENT_LENGTH = b"\r\nContent-Length: "
cdef bytes X_REQUEST_ID = b"X-Request-Id: ", ANSWER_REQUEST_ID = b"x-request-id: "
cdef bytes X_CLIENT_ID = b"\r\nX-Ms-Client-Request-Id: ", ANSWER_CLIENT_ID = b"\r\nx-ms-client-request-id: "


cpdef bytes plain_request(
    PlainRequest plain, bytes start, bytes request_id, bytes forwarded_for, bint has_body=True
):
    cdef Parts parts
    parts.number = 0
    _add(&parts, start)
    _add(&parts, plain.fields)
    _add_own(&parts, plain, request_id, forwarded_for)
    _add(&parts, CONTENT_LENGTH)
    _add(&parts, plain.digits)
    _add(&parts, HEAD_END)
    if has_body:
        _add_rest(&parts, plain.data, plain.body_at)
    return joined(parts.spans, parts.number)


cpdef bytes plain_copy(PlainRequest plain, bytes start, bytes request_id, bytes forwarded_for):
    cdef Text at = <Text> PyBytes_AS_STRING(plain.fields)
    cdef Text stop = at + len(plain.fields)
    cdef Text line
    cdef Span kept[MAX_FIELDS]
    cdef Span value
    cdef Py_ssize_t runs = 0
    cdef Parts parts
    cdef bytes fields
    while at < stop:
        line = at
        if next_field(&at, stop, &_copy_roles, &value) != DROP:
            runs = keep(kept, runs, line, at)
    fields = joined(kept, runs)
    parts.number = 0
    _add(&parts, start)
    _add(&parts, fields)
    _add_own(&parts, plain, request_id, forwarded_for)
    _add(&parts, MARK_FIELD)
    _add(&parts, CONTENT_LENGTH)
    _add(&parts, plain.digits)
    _add(&parts, HEAD_END)
    _add_rest(&parts, plain.data, plain.body_at)
    return joined(parts.spans, parts.number)


cpdef bytes plain_answer(
    PlainAnswer answer, bytes request_id, bytes constant, bytes client_id, double own_s, bytes http_date
):
    cdef Number own
    cdef Parts parts
    _milliseconds(&own, own_s)
    parts.number = 0
    _add(&parts, OK)
    _add(&parts, answer.fields)
    if not answer.has_date:
        _add(&parts, DATE_FIELD)
        _add(&parts, http_date)
        _add(&parts, CRLF)
    _add(&parts, ANSWER_REQUEST_ID)
    _add(&parts, request_id)
    _add(&parts, CRLF)
    _add(&parts, constant)
    if client_id:
        _add(&parts, ANSWER_CLIENT_ID)
        _add(&parts, client_id)
    _add(&parts, CRLF)
    _add(&parts, TIMING)
    _add_number(&parts, &own)
    _add(&parts, HEAD_END)
    _add_rest(&parts, answer.data, answer.body_at)
    return joined(parts.spans, parts.number)


cpdef bytes plain_line(
    list pieces,
    PlainRequest plain,
    Py_ssize_t response_bytes,
    bytes time,
    bytes request_id,
    double total_s,
    double request_s,
    double response_s,
):
    cdef Number length, total, request, response
    cdef Parts parts
    cdef bytes agent = plain.user_agent, quote = QUOTE
    cdef bytes first, second, third, fourth, fifth, sixth, seventh, eighth, ninth, tenth
    if not _is_simple(agent):
        agent, quote = quoted_agent(agent.decode("latin-1")), NOTHING
    _whole(&length, response_bytes)
    _milliseconds(&total, total_s)
    _milliseconds(&request, request_s)
    _milliseconds(&response, response_s)
    first, second, third, fourth, fifth, sixth, seventh, eighth, ninth, tenth = pieces
    parts.number = 0
    _add(&parts, first)
    _add(&parts, time)
    _add(&parts, second)
    _add(&parts, plain.digits)
    _add(&parts, third)
    _add_number(&parts, &length)
    _add(&parts, fourth)
    _add(&parts, quote)
    _add(&parts, agent)
    _add(&parts, quote)
    _add(&parts, fifth)
    _add(&parts, request_id)
    _add(&parts, sixth)
    _add(&parts, plain.client_request_id)
    _add(&parts, seventh)
    _add_number(&parts, &total)
    _add(&parts, eighth)
    _add_number(&parts, &request)
    _add(&parts, ninth)
    _add_number(&parts, &response)
    _add(&parts, tenth)
    return joined(parts.spans, parts.number)


cdef int _add_own(Parts* parts, PlainRequest plain, bytes request_id, bytes forwarded_for) except -1:
    """Add the router's own fields of a request, but for its framing, without the last line end."""
    _add(parts, X_REQUEST_ID)
    _add(parts, request_id)
    if plain.client_request_id:
        _add(parts, X_CLIENT_ID)
        _add(parts, plain.client_request_id)
    _add(parts, CRLF)
    _add(parts, forwarded_for)
    _add(parts, plain.host)
    _add(parts, CRLF)
    _add(parts, VIA)
    return 0


cdef bint _is_simple(bytes agent):
    """Whether it is logged as it is, between quotes."""
    cdef Text text = <Text> PyBytes_AS_STRING(agent)
    cdef Py_ssize_t size = len(agent), index
    if size > AGENT_BYTES:
        return False
    for index in range(size):
        if text[index] < 0x20 or text[index] > 0x7E or text[index] == c'"' or text[index] == c"\\":
            return False
    return True


cdef inline int _add(Parts* parts, bytes part) except -1:
    """Add a part; whoever does keeps the object until they are joined."""
    return _add_rest(parts, part, 0)


cdef inline int _add_rest(Parts* parts, bytes whole, Py_ssize_t start) except -1:
    """Add what follows from `start` on."""
    return _add_span(parts, Span(<Text> PyBytes_AS_STRING(whole) + start, len(whole) - start))


cdef inline int _add_number(Parts* parts, Number* number) except -1:
    return _add_span(parts, Span(<Text> number.text, number.size))


cdef inline int _add_span(Parts* parts, Span span) except -1:
    if parts.number == _MAX_PARTS:
        raise OverflowError("too many parts")
    parts.spans[parts.number] = span
    parts.number += 1
    return 0


cdef void _whole(Number* number, Py_ssize_t value) noexcept:
    """`digits.whole`; `value` is not negative."""
    cdef char reversed[_NUMBER_BYTES]
    cdef Py_ssize_t size = 0, index
    while True:
        reversed[size] = <char> (c"0" + value % 10)
        size += 1
        value //= 10
        if not value:
            break
    for index in range(size):
        number.text[index] = reversed[size - 1 - index]
    number.size = size


cdef int _milliseconds(Number* number, double seconds) except -1:
    """`digits.milliseconds`."""
    cdef Py_ssize_t microseconds
    cdef char* to
    cdef bytes text
    if 0.0 <= seconds < 0.9999:
        microseconds = <Py_ssize_t> (seconds * 1_000_000 + 0.5)
        _whole(number, microseconds // 1000)
        microseconds %= 1000
        to = number.text + number.size
        to[0] = c"."
        to[1] = <char> (c"0" + microseconds // 100)
        to[2] = <char> (c"0" + microseconds // 10 % 10)
        to[3] = <char> (c"0" + microseconds % 10)
        number.size += 4
        return 0
    text = milliseconds(seconds)
    if len(text) > _NUMBER_BYTES:
        raise OverflowError(f"{seconds} seconds")
    number.size = len(text)
    memcpy(number.text, PyBytes_AS_STRING(text), len(text))
    return 0


learn(&_copy_roles, headers.COPY_ROLES)

# cython: cdivision=True
"""`plain.py` for the compiled request path: the same functions, on bytes in memory."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memchr, memcmp, memcpy

from router.core.headers cimport clean_client_request_id

from router.core import headers
from router.core.digits import milliseconds
from router.core.headers import is_host
from router.core.record import USER_AGENT_CHARACTERS, quoted_agent
from router.core.replies import TIMING as _TIMING

ctypedef const unsigned char* Text

cdef struct Span:
    Text at
    Py_ssize_t size

cdef enum:
    _PLACES = 256  # a power of two, several times the number of known names
    _NAME_BYTES = 40  # no known name is longer
    _MAX_FIELDS = 256
    _VALUES = 16  # more than there are roles that keep one
    _NUMBER_BYTES = 32
    _MAX_PARTS = 32

cdef struct Known:
    Py_ssize_t size  # of the name; 0: the place is free
    int role
    unsigned char name[_NAME_BYTES]

# Known names by a hash that is quick to take; a free place ends the search.
cdef struct Roles:
    Known places[_PLACES]

cdef struct Number:
    Py_ssize_t size
    char text[_NUMBER_BYTES]

cdef struct Parts:
    Py_ssize_t number
    Span spans[_MAX_PARTS]

cdef Roles _request_roles, _answer_roles, _copy_roles
cdef unsigned char _lower[256]  # the byte of a name in lower case; 0 for what no name has

cdef int PASS = headers.Role.PASS
cdef int DROP = headers.Role.DROP
cdef int UNUSUAL = headers.Role.UNUSUAL
cdef int HOST = headers.Role.HOST
cdef int LENGTH = headers.Role.LENGTH
cdef int CLIENT_ID = headers.Role.CLIENT_ID
cdef int PERSISTENCE = headers.Role.PERSISTENCE
cdef int AUTHORIZATION = headers.Role.AUTHORIZATION
cdef int AGENT = headers.Role.AGENT
cdef int PIN = headers.Role.PIN
cdef int MARK = headers.Role.MARK
cdef int DATE = headers.Role.DATE
cdef int FIRST_PASSED_ON = headers.Role.FIRST_PASSED_ON
cdef int END = -4  # the empty line after a head, in the place of a role

cdef Py_ssize_t MAX_HEAD_BYTES = headers.MAX_ANSWER_HEAD_BYTES
cdef Py_ssize_t MAX_DIGITS = headers.MAX_DIGITS
cdef Py_ssize_t AGENT_BYTES = USER_AGENT_CHARACTERS
cdef bytes OWN_PREFIX = headers.OWN_PREFIX
cdef bytes VIA = headers.VIA
cdef bytes TIMING = _TIMING
cdef bytes NOTHING = b"", QUOTE = b'"', CRLF = b"\r\n", HEAD_END = b"\r\n\r\n"
cdef bytes OK = b"HTTP/1.1 200 OK\r\n"
cdef bytes MARK_FIELD = CRLF + headers.MIRROR_MARK + b": 1"
cdef bytes CLOSE = b"close", KEEP_ALIVE = b"keep-alive"
cdef bytes DATE_FIELD = b"date: "
cdef bytes CONTENT_LENGTH = b"\r\nContent-Length: "
cdef bytes X_REQUEST_ID = b"X-Request-Id: ", ANSWER_REQUEST_ID = b"x-request-id: "
cdef bytes X_CLIENT_ID = b"\r\nX-Ms-Client-Request-Id: ", ANSWER_CLIENT_ID = b"\r\nx-ms-client-request-id: "


@cython.final
@cython.freelist(64)
cdef class PlainRequest:
    """`plain.PlainRequest`."""

    @property
    def body(self):
        return memoryview(self._data)[self._body_at :]

    cpdef complete(self, bytes body):
        self._data = body
        self._body_at = 0
        self.received = len(body)


@cython.final
@cython.freelist(64)
cdef class PlainAnswer:
    """`plain.PlainAnswer`."""

    @property
    def body(self):
        return self._data[self._body_at :]


cpdef bytes first_line(bytes data):
    cdef Text text = <Text> PyBytes_AS_STRING(data)
    cdef Text end = <Text> memchr(text, c"\r", len(data))
    if end is NULL or end + 1 >= text + len(data) or end[1] != c"\n":
        return NOTHING
    return PyBytes_FromStringAndSize(<char*> text, end - text)


cpdef PlainRequest read_plain_request(
    bytes data, Py_ssize_t start, Py_ssize_t max_head_bytes, Py_ssize_t max_fields, bint keep_credentials
):
    cdef Text text = <Text> PyBytes_AS_STRING(data)
    cdef Text stop = text + len(data)
    cdef Text at = text + start
    cdef Text line
    cdef Span found[_VALUES]
    cdef Span kept[_MAX_FIELDS]
    cdef Span value
    cdef Py_ssize_t fields = 0, runs = 0
    cdef int passed_on = AUTHORIZATION if keep_credentials else FIRST_PASSED_ON
    cdef int role, number
    cdef PlainRequest plain
    if start > len(data):
        return None
    for number in range(_VALUES):
        found[number].at = NULL
    while True:
        line = at
        role = _field(&at, stop, &_request_roles, &value)
        if role == END:
            break
        fields += 1
        if role == UNUSUAL or fields > max_fields or fields > _MAX_FIELDS:
            return None
        if role >= 0:
            if found[role].at is not NULL:
                return None
            found[role] = value
        if role == PASS or role >= passed_on:
            runs = _keep(kept, runs, line, at)
    if line - 2 - text > max_head_bytes or _controls(text, line) != 2 * (fields + 1):
        return None
    plain = _plain(found)
    if plain is not None:
        plain.fields = _joined(kept, runs)
        plain._data = data
        plain._body_at = at - text
        plain.received = stop - at
    return plain


cpdef PlainAnswer read_plain_answer(bytes data):
    cdef Text text = <Text> PyBytes_AS_STRING(data)
    cdef Text stop = text + len(data)
    cdef Text at = text + len(OK)
    cdef Text line
    cdef Span kept[_MAX_FIELDS]
    cdef Span value
    cdef Py_ssize_t fields = 0, runs = 0, length = -1
    cdef bint has_date = False
    cdef int role
    cdef PlainAnswer answer
    if len(data) < len(OK) or memcmp(text, PyBytes_AS_STRING(OK), len(OK)) != 0:
        return None
    while True:
        line = at
        role = _field(&at, stop, &_answer_roles, &value)
        if role == END:
            break
        fields += 1
        if role == UNUSUAL or fields > _MAX_FIELDS:
            return None
        if role == LENGTH:
            if length >= 0:
                return None
            length = _number(value)
            if length < 0:
                return None
        elif role == DATE:
            has_date = True
        if role != DROP:
            runs = _keep(kept, runs, line, at)
    if line - 2 - text > MAX_HEAD_BYTES or length != stop - at or _controls(text, line) != 2 * (fields + 1):
        return None
    answer = PlainAnswer.__new__(PlainAnswer)
    answer.fields = _joined(kept, runs)
    answer.has_date = has_date
    answer.length = length
    answer._data = data
    answer._body_at = at - text
    return answer


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
        _add_rest(&parts, plain._data, plain._body_at)
    return _joined(parts.spans, parts.number)


cpdef bytes plain_copy(PlainRequest plain, bytes start, bytes request_id, bytes forwarded_for):
    cdef Text at = <Text> PyBytes_AS_STRING(plain.fields)
    cdef Text stop = at + len(plain.fields)
    cdef Text line
    cdef Span kept[_MAX_FIELDS]
    cdef Span value
    cdef Py_ssize_t runs = 0
    cdef Parts parts
    cdef bytes fields
    while at < stop:
        line = at
        if _field(&at, stop, &_copy_roles, &value) != DROP:
            runs = _keep(kept, runs, line, at)
    fields = _joined(kept, runs)
    parts.number = 0
    _add(&parts, start)
    _add(&parts, fields)
    _add_own(&parts, plain, request_id, forwarded_for)
    _add(&parts, MARK_FIELD)
    _add(&parts, CONTENT_LENGTH)
    _add(&parts, plain.digits)
    _add(&parts, HEAD_END)
    _add_rest(&parts, plain._data, plain._body_at)
    return _joined(parts.spans, parts.number)


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
    _add_rest(&parts, answer._data, answer._body_at)
    return _joined(parts.spans, parts.number)


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
    return _joined(parts.spans, parts.number)


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


cdef PlainRequest _plain(Span* found):
    """A request of the values of its fields, if these leave no doubt where it ends."""
    cdef Py_ssize_t length
    cdef bint closes = False
    cdef PlainRequest plain
    cdef bytes host
    if found[HOST].at is NULL or found[LENGTH].at is NULL:
        return None
    length = _number(found[LENGTH])
    if length < 0 or (found[LENGTH].at[0] == c"0" and found[LENGTH].size > 1):
        return None
    if found[PERSISTENCE].at is not NULL:
        closes = _is(found[PERSISTENCE], CLOSE)
        if not closes and not _is(found[PERSISTENCE], KEEP_ALIVE):
            return None
    host = _bytes(found[HOST])
    if not _is_plain_host(found[HOST]) and not is_host(host):
        return None
    plain = PlainRequest.__new__(PlainRequest)
    plain.host = host
    plain.digits = _bytes(found[LENGTH])
    plain.length = length
    plain.authorization = _bytes(found[AUTHORIZATION])
    plain.deployment = _bytes(found[PIN])
    plain.client_request_id = NOTHING if found[CLIENT_ID].at is NULL else clean_client_request_id(
        _bytes(found[CLIENT_ID])
    )
    plain.user_agent = NOTHING if found[AGENT].at is NULL else _bytes(found[AGENT])
    plain.is_marked = found[MARK].at is not NULL
    plain.closes = closes
    return plain


cdef int _field(Text* at, Text stop, Roles* roles, Span* value) noexcept:
    """The role of the field whose line begins at `at`, which moves on to the next line; `END` for an empty line."""
    cdef Text text = at[0]
    cdef Text end
    cdef unsigned char name[_NAME_BYTES]
    cdef unsigned char lower
    cdef Py_ssize_t size = 0
    while text < stop:
        lower = _lower[text[0]]
        if not lower:
            break
        if size < _NAME_BYTES:
            name[size] = lower
        size += 1
        text += 1
    if stop - text < 2:
        return UNUSUAL
    if not size and text[0] == c"\r" and text[1] == c"\n":
        at[0] = text + 2
        return END
    if not size or text[0] != c":" or text[1] != c" ":
        return UNUSUAL
    text += 2
    end = <Text> memchr(text, c"\n", stop - text)
    if end is NULL or end - text < 2 or end[-1] != c"\r":
        return UNUSUAL
    if _is_blank(text[0]) or _is_blank(end[-2]):
        return UNUSUAL
    value.at = text
    value.size = end - 1 - text
    at[0] = end + 1
    return _role(roles, name, size)


cdef int _role(Roles* roles, const unsigned char* name, Py_ssize_t size) noexcept:
    """The role of a field by its name in lower case, of which `_NAME_BYTES` are there at most."""
    cdef Known* known
    cdef unsigned int place
    if size <= _NAME_BYTES:
        place = _place(name, size)
        while True:
            known = &roles.places[place]
            if not known.size:
                break
            if known.size == size and memcmp(known.name, name, size) == 0:
                return known.role
            place = (place + 1) % _PLACES
    if size >= len(OWN_PREFIX) and memcmp(name, PyBytes_AS_STRING(OWN_PREFIX), len(OWN_PREFIX)) == 0:
        return DROP
    return PASS


cdef unsigned int _place(const unsigned char* name, Py_ssize_t size) noexcept:
    return (37 * <unsigned int> size + 5 * name[0] + 11 * name[size - 1] + 3 * name[size // 2]) % _PLACES


cdef Py_ssize_t _keep(Span* kept, Py_ssize_t runs, Text line, Text end) noexcept:
    """Note that a line goes on; lines that follow each other are one run. Returns how many there are."""
    if runs and kept[runs - 1].at + kept[runs - 1].size == line:
        kept[runs - 1].size += end - line
        return runs
    kept[runs] = Span(line, end - line)
    return runs + 1


cdef bytes _joined(Span* spans, Py_ssize_t number):
    cdef Py_ssize_t size = 0, index
    cdef bytes made
    cdef char* to
    for index in range(number):
        size += spans[index].size
    made = PyBytes_FromStringAndSize(NULL, size)
    to = PyBytes_AS_STRING(made)
    for index in range(number):
        memcpy(to, spans[index].at, spans[index].size)
        to += spans[index].size
    return made


cdef Py_ssize_t _controls(Text at, Text stop) noexcept:
    """How many control characters there are; two for each line end."""
    cdef int controls = 0  # an int, and no branch, so that the compiler takes many bytes at once
    cdef Py_ssize_t number
    for number in range(stop - at):
        controls += (at[number] < 0x20) + (at[number] == 0x7F) - (at[number] == 0x09)
    return controls


cdef Py_ssize_t _number(Span digits) noexcept:
    """What the digits say; -1 for too many or anything else."""
    cdef Py_ssize_t number = 0, index
    if digits.size > MAX_DIGITS:
        return -1
    for index in range(digits.size):
        if not c"0" <= digits.at[index] <= c"9":
            return -1
        number = 10 * number + digits.at[index] - c"0"
    return number


cdef bint _is(Span value, bytes word) noexcept:
    """Whether it is this word, which is in lower case, in any spelling."""
    cdef Text lower = <Text> PyBytes_AS_STRING(word)
    cdef Py_ssize_t index
    if value.size != len(word):
        return False
    for index in range(value.size):
        if _lower[value.at[index]] != lower[index]:
            return False
    return True


cdef bint _is_plain_host(Span host) noexcept:
    """Whether it is a name or an IPv4 address with or without a port: not all that `is_host` accepts."""
    cdef Py_ssize_t index = 0
    cdef unsigned char byte
    while index < host.size and host.at[index] != c":":
        byte = host.at[index]
        if not (c"a" <= byte <= c"z" or c"0" <= byte <= c"9" or byte == c"." or byte == c"-"):
            return False
        index += 1
    for index in range(index + 1, host.size):
        if not c"0" <= host.at[index] <= c"9":
            return False
    return True


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


cdef inline bint _is_blank(unsigned char byte) noexcept:
    return byte == c" " or byte == c"\t"


cdef inline bytes _bytes(Span span):
    return None if span.at is NULL else PyBytes_FromStringAndSize(<char*> span.at, span.size)


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


cdef int _learn(Roles* roles, dict known) except -1:
    """Fill a table of roles."""
    cdef bytes name
    cdef unsigned int place
    for name in known:
        if name != name.lower():
            continue
        if not name or len(name) > _NAME_BYTES:
            raise ValueError(f"{name!r} does not fit")
        place = _place(<Text> PyBytes_AS_STRING(name), len(name))
        while roles.places[place].size:
            place = (place + 1) % _PLACES
        roles.places[place].size = len(name)
        roles.places[place].role = known[name]
        memcpy(roles.places[place].name, PyBytes_AS_STRING(name), len(name))
    return 0


cdef int _learn_names() except -1:
    for byte in headers.NAME_BYTES:
        _lower[byte] = bytes((byte,)).lower()[0]
    return 0


_learn(&_request_roles, headers.REQUEST_ROLES)
_learn(&_answer_roles, headers.PLAIN_ANSWER_ROLES)
_learn(&_copy_roles, headers.COPY_ROLES)
_learn_names()

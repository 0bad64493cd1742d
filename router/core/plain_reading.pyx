# cython: cdivision=True
"""`plain_reading.py` for the compiled request path: the same functions, on bytes in memory."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memchr, memcmp, memcpy

from router.core.headers cimport clean_client_request_id

from router.core import headers
from router.core.headers import is_alias, is_host
from router.core.replies import status_line

cdef enum:
    _VALUES = 16  # more than there are roles that keep one

cdef Roles _request_roles, _answer_roles
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
cdef bytes OWN_PREFIX = headers.OWN_PREFIX
cdef bytes NOTHING = b"", OK = status_line(200)
cdef bytes CLOSE = b"close", KEEP_ALIVE = b"keep-alive"
cdef bytes X_FORWARDED = b"x-forwarded", X_REAL_IP = b"x-real-ip"


@cython.final
@cython.freelist(64)
cdef class PlainRequest:
    """`plain_reading.PlainRequest`."""

    @property
    def body(self):
        return memoryview(self.data)[self.body_at :]

    cpdef complete(self, bytes body):
        self.data = body
        self.body_at = 0
        self.received = len(body)


@cython.final
@cython.freelist(64)
cdef class PlainAnswer:
    """`plain_reading.PlainAnswer`."""

    @property
    def body(self):
        return self.data[self.body_at :]


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
    cdef Span kept[MAX_FIELDS]
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
        role = next_field(&at, stop, &_request_roles, &value)
        if role == END:
            break
        fields += 1
        if role == UNUSUAL or fields > max_fields or fields > MAX_FIELDS:
            return None
        if role >= 0:
            if found[role].at is not NULL:
                return None
            found[role] = value
        if role >= passed_on or (role == PASS and not _ends_here(line, value.at - 2 - line)):
            runs = keep(kept, runs, line, at)
    if line - 2 - text > max_head_bytes or _controls(text + start, line) != 2 * fields:
        return None
    plain = _plain(found)
    if plain is not None:
        plain.fields = joined(kept, runs)
        plain.data = data
        plain.body_at = at - text
        plain.received = stop - at
    return plain


cpdef PlainAnswer read_plain_answer(bytes data):
    cdef Text text = <Text> PyBytes_AS_STRING(data)
    cdef Text stop = text + len(data)
    cdef Text at = text + len(OK)
    cdef Text line
    cdef Span kept[MAX_FIELDS]
    cdef Span value
    cdef Py_ssize_t fields = 0, runs = 0, length = -1
    cdef bint has_date = False
    cdef int role
    cdef PlainAnswer answer
    if len(data) < len(OK) or memcmp(text, PyBytes_AS_STRING(OK), len(OK)) != 0:
        return None
    while True:
        line = at
        role = next_field(&at, stop, &_answer_roles, &value)
        if role == END:
            break
        fields += 1
        if role == UNUSUAL or fields > MAX_FIELDS:
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
            runs = keep(kept, runs, line, at)
    if line - 2 - text > MAX_HEAD_BYTES or length != stop - at or _controls(text + len(OK), line) != 2 * fields:
        return None
    answer = PlainAnswer.__new__(PlainAnswer)
    answer.fields = joined(kept, runs)
    answer.has_date = has_date
    answer.length = length
    answer.data = data
    answer.body_at = at - text
    return answer


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


cdef int next_field(Text* at, Text stop, Roles* roles, Span* value) noexcept:
    """The role of the field whose line begins at `at`, which moves on to the next line; `END` for an empty line."""
    cdef Text text = at[0]
    cdef Text end
    cdef unsigned char name[NAME_BYTES]
    cdef unsigned char lower
    cdef Py_ssize_t size = 0
    while text < stop:
        lower = _lower[text[0]]
        if not lower:
            break
        if size < NAME_BYTES:
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
    """The role of a field by its name in lower case, of which `NAME_BYTES` are there at most."""
    cdef Known* known
    cdef unsigned int place
    if size <= NAME_BYTES:
        place = _place(name, size)
        while True:
            known = &roles.places[place]
            if not known.size:
                break
            if known.size == size and memcmp(known.name, name, size) == 0:
                return known.role
            place = (place + 1) % PLACES
    if size >= len(OWN_PREFIX) and memcmp(name, PyBytes_AS_STRING(OWN_PREFIX), len(OWN_PREFIX)) == 0:
        return DROP
    return PASS


cdef inline bint _ends_here(Text name, Py_ssize_t size) except -1:
    """`headers.is_replaced`, of a name in any spelling; few have a `_`."""
    if _is_forwarding(name, size):
        return True
    return memchr(name, c"_", size) is not NULL and is_alias(PyBytes_FromStringAndSize(<char*> name, size).lower())


cdef inline bint _is_forwarding(Text name, Py_ssize_t size) noexcept:
    """`headers.is_forwarding`, of a name in any spelling; most do not begin with an X."""
    if name[0] | 0x20 != c"x":
        return False
    return _begins(name, size, X_FORWARDED) or (size == len(X_REAL_IP) and _begins(name, size, X_REAL_IP))


cdef bint _begins(Text name, Py_ssize_t size, bytes word) noexcept:
    """Whether a name begins with this word, which is in lower case; `_` is read as `-`."""
    cdef Text lower = <Text> PyBytes_AS_STRING(word)
    cdef Py_ssize_t index
    cdef unsigned char byte
    if size < len(word):
        return False
    for index in range(len(word)):
        byte = _lower[name[index]]
        if (c"-" if byte == c"_" else byte) != lower[index]:
            return False
    return True


cdef unsigned int _place(const unsigned char* name, Py_ssize_t size) noexcept:
    return (37 * <unsigned int> size + 5 * name[0] + 11 * name[size - 1] + 3 * name[size // 2]) % PLACES


cdef Py_ssize_t keep(Span* kept, Py_ssize_t runs, Text line, Text end) noexcept:
    """Note that a line goes on; lines that follow each other are one run. Returns how many there are."""
    if runs and kept[runs - 1].at + kept[runs - 1].size == line:
        kept[runs - 1].size += end - line
        return runs
    kept[runs] = Span(line, end - line)
    return runs + 1


cdef bytes joined(Span* spans, Py_ssize_t number):
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


cdef inline bint _is_blank(unsigned char byte) noexcept:
    return byte == c" " or byte == c"\t"


cdef inline bytes _bytes(Span span):
    return None if span.at is NULL else PyBytes_FromStringAndSize(<char*> span.at, span.size)


cdef int learn(Roles* roles, dict known) except -1:
    """Fill a table of roles."""
    cdef bytes name
    cdef unsigned int place
    for name in known:
        if name != name.lower():
            continue
        if not name or len(name) > NAME_BYTES:
            raise ValueError(f"{name!r} does not fit")
        place = _place(<Text> PyBytes_AS_STRING(name), len(name))
        while roles.places[place].size:
            place = (place + 1) % PLACES
        roles.places[place].size = len(name)
        roles.places[place].role = known[name]
        memcpy(roles.places[place].name, PyBytes_AS_STRING(name), len(name))
    return 0


cdef int _learn_names() except -1:
    for byte in headers.NAME_BYTES:
        _lower[byte] = bytes((byte,)).lower()[0]
    return 0


learn(&_request_roles, headers.REQUEST_ROLES)
learn(&_answer_roles, headers.PLAIN_ANSWER_ROLES)
_learn_names()

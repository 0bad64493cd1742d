cimport cython

ctypedef const unsigned char* Text

cdef struct Span:
    Text at
    Py_ssize_t size

cdef enum:
    MAX_FIELDS = 256
    NAME_BYTES = 40  # no known name is longer
    PLACES = 256  # a power of two, several times the number of known names

cdef struct Known:
    Py_ssize_t size  # of the name; 0: the place is free
    int role
    unsigned char name[NAME_BYTES]

# Known names by a hash that is quick to take; a free place ends the search.
cdef struct Roles:
    Known places[PLACES]

@cython.final
@cython.freelist(64)
cdef class PlainRequest:
    cdef readonly bytes authorization
    cdef readonly bytes client_request_id
    cdef public bint closes
    cdef readonly bytes deployment
    cdef readonly bytes digits
    cdef readonly bytes fields
    cdef readonly bytes host
    cdef readonly bint is_marked
    cdef readonly Py_ssize_t length
    cdef readonly Py_ssize_t received
    cdef readonly bytes user_agent
    cdef readonly bytes data
    cdef readonly Py_ssize_t body_at

    cpdef complete(self, bytes body)

@cython.final
@cython.freelist(64)
cdef class PlainAnswer:
    cdef readonly bytes fields
    cdef readonly bint has_date
    cdef readonly Py_ssize_t length
    cdef readonly bytes data
    cdef readonly Py_ssize_t body_at

cpdef bytes first_line(bytes data)
cpdef PlainRequest read_plain_request(
    bytes data, Py_ssize_t start, Py_ssize_t max_head_bytes, Py_ssize_t max_fields, bint keep_credentials
)
cpdef PlainAnswer read_plain_answer(bytes data)

cdef int next_field(Text* at, Text stop, Roles* roles, Span* value) noexcept
cdef int learn(Roles* roles, dict known) except -1
cdef Py_ssize_t keep(Span* kept, Py_ssize_t runs, Text line, Text end) noexcept
cdef bytes joined(Span* spans, Py_ssize_t number)

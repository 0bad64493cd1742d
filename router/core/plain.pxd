cimport cython

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
    cdef bytes _data
    cdef Py_ssize_t _body_at

    cpdef complete(self, bytes body)

@cython.final
@cython.freelist(64)
cdef class PlainAnswer:
    cdef readonly bytes fields
    cdef readonly bint has_date
    cdef readonly Py_ssize_t length
    cdef bytes _data
    cdef Py_ssize_t _body_at

cpdef bytes first_line(bytes data)
cpdef PlainRequest read_plain_request(
    bytes data, Py_ssize_t start, Py_ssize_t max_head_bytes, Py_ssize_t max_fields, bint keep_credentials
)
cpdef PlainAnswer read_plain_answer(bytes data)
cpdef bytes plain_request(
    PlainRequest plain, bytes start, bytes request_id, bytes forwarded_for, bint has_body=*
)
cpdef bytes plain_copy(PlainRequest plain, bytes start, bytes request_id, bytes forwarded_for)
cpdef bytes plain_answer(
    PlainAnswer answer, bytes request_id, bytes constant, bytes client_id, double own_s, bytes http_date
)
cpdef bytes plain_line(
    list pieces,
    PlainRequest plain,
    Py_ssize_t response_bytes,
    bytes time,
    bytes request_id,
    double total_s,
    double request_s,
    double response_s,
)

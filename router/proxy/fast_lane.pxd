from router.proxy.runtime cimport Runtime
cimport cython
from router.core.headers cimport PlainRequest, read_plain_request
from router.core.requests cimport authenticate
from router.core.table cimport Endpoint
from router.proxy.live cimport LiveExchange
from router.proxy.routes cimport Leg, Route, Routes

cdef class HeadParser:
    cdef readonly dict fields
    cdef list _unfinished
    cdef readonly object on_header
    cdef readonly object on_message_complete
    cdef object _parser

    cpdef object parse(self, bytes data)
    cpdef renew(self)

cdef class FastLane:
    cdef Runtime _runtime
    cdef object _mirror
    cdef Routes _routes
    cdef HeadParser _parser

    @cython.locals(lines=list, line=bytes, route=Route, head_end=Py_ssize_t, parser=HeadParser, plain=PlainRequest, missing_bytes=Py_ssize_t)
    cpdef take(self, object client, bytes data)
    @cython.locals(request_id=bytes, runtime=Runtime, endpoint=Endpoint, leg=Leg, exchange=LiveExchange, lines=list, framing=bytes)
    cpdef _score(self, object client, Route route, PlainRequest plain, bytes body)

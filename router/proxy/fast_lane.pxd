from router.proxy.runtime cimport Runtime
cimport cython
from router.core.headers cimport PlainRequest, read_plain_request
from router.core.requests cimport authenticate
from router.core.table cimport Endpoint
from router.proxy.live cimport Client, LiveExchange
from router.proxy.routes cimport Leg, Route, Routes

cdef class FastLane:
    cdef Runtime _runtime
    cdef object _mirror
    cdef Routes _routes

    @cython.locals(head=bytes, lines=list, line=bytes, route=Route, end=bytes, body=bytes, plain=PlainRequest, missing_bytes=Py_ssize_t)
    cpdef take(self, Client client, bytes data)
    @cython.locals(request_id=bytes, runtime=Runtime, endpoint=Endpoint, leg=Leg, exchange=LiveExchange, lines=list)
    cpdef _score(self, Client client, Route route, PlainRequest plain, bytes body)

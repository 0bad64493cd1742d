from router.proxy.runtime cimport Runtime
cimport cython
from router.core.headers cimport PlainRequest, read_plain_request
from router.core.requests cimport authenticate
from router.core.table cimport Endpoint
from router.proxy.incoming cimport Incoming
from router.proxy.live cimport Client, LiveExchange
from router.proxy.routes cimport Leg, Route, Routes

cdef class FastLane:
    cdef Runtime _runtime
    cdef object _mirror
    cdef Routes _routes

    @cython.locals(head=bytes, lines=list, line=bytes, route=Route, end=bytes, body=bytes, plain=PlainRequest, missing_bytes=Py_ssize_t)
    cpdef take(self, Client client, bytes data)
    @cython.locals(exchange=LiveExchange, leg=Leg, plain=PlainRequest, request_id=bytes)
    cpdef go_on(self, Client client, Incoming incoming)
    @cython.locals(leg=Leg)
    cpdef Incoming _receive(self, Route route, PlainRequest plain, bytes body)
    @cython.locals(runtime=Runtime)
    cpdef object _choose(self, Endpoint endpoint, PlainRequest plain)
    @cython.locals(request_id=bytes, runtime=Runtime, leg=Leg, exchange=LiveExchange)
    cpdef _score(self, Client client, Route route, PlainRequest plain, bytes body)
    @cython.locals(lines=list)
    cpdef bint _forward(self, LiveExchange exchange, Endpoint endpoint, PlainRequest plain, bytes request_id, bytes body)

@cython.locals(lines=list)
cdef _add_lines(Client client, PlainRequest plain, bytes request_id)

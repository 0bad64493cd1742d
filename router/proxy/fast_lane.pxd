from router.proxy.runtime cimport Runtime
cimport cython
from router.core.plain_reading cimport PlainRequest, first_line, read_plain_request
from router.core.requests cimport authenticate
from router.core.table cimport Endpoint
from router.proxy.incoming cimport Incoming
from router.proxy.live cimport Client, LiveExchange
from router.proxy.mirror cimport Mirror, PlainCopy
from router.proxy.routes cimport Leg, Route, Routes

cdef class FastLane:
    cdef Runtime _runtime
    cdef Mirror _mirror
    cdef Routes _routes

    @cython.locals(line=bytes, route=Route, routes=Routes, plain=PlainRequest, start=Py_ssize_t)
    cpdef take(self, Client client, bytes data)
    @cython.locals(exchange=LiveExchange, plain=PlainRequest, request_id=bytes)
    cpdef go_on(self, Client client, Incoming incoming)
    cpdef object _begun(self, bytes data)
    @cython.locals(leg=Leg)
    cpdef Incoming _receive(self, Route route, PlainRequest plain)
    @cython.locals(runtime=Runtime)
    cpdef object _choose(self, Endpoint endpoint, PlainRequest plain)
    @cython.locals(request_id=bytes, runtime=Runtime, leg=Leg, exchange=LiveExchange)
    cpdef _score(self, Client client, Route route, PlainRequest plain)
    cpdef bint _forward(self, LiveExchange exchange, Client client, Route route, PlainRequest plain, bytes request_id)
    @cython.locals(copy=PlainCopy)
    cpdef _mirror_copy(self, Route route, PlainRequest plain, bytes request_id, bytes forwarded_for)

from router.core.plain_reading cimport PlainRequest
from router.core.pace cimport Pace
from router.proxy.live cimport Client
from router.proxy.routes cimport Leg
from router.proxy.runtime cimport Runtime

cdef class Incoming:
    cdef readonly Leg leg
    cdef readonly PlainRequest plain
    cdef readonly bytes request_id
    cdef readonly double began
    cdef readonly bytearray body
    cdef readonly Py_ssize_t missing_bytes
    cdef readonly Pace pace

    cpdef came(self, bytes data, double when)

from router.proxy.fast_lane cimport FastLane
from router.proxy.live cimport Client

cdef class FastConnection(Client):
    cdef object __weakref__
    cdef readonly str client
    cdef object _clients
    cdef FastLane _lane
    cdef object _transport
    cdef object _exchange
    cdef list _held
    cdef Py_ssize_t _missing_bytes
    cdef bint _is_half_closed
    cdef bint _is_waiting
    cdef public double deadline
    cdef public double idle_since
    cdef public double head_since

    cpdef _take(self, bytes data, list pieces)
    cpdef write(self, bytes data)
    cpdef done(self, double now, bint closes)

from router.proxy.fast_lane cimport FastLane
from router.proxy.incoming cimport Incoming
from router.proxy.live cimport Client, LiveExchange
from router.proxy.outgoing cimport Outgoing

cdef class FastConnection(Client):
    cdef object __weakref__
    cdef readonly str client
    cdef object _keeper
    cdef FastLane _lane
    cdef object _transport
    cdef Outgoing _outgoing
    cdef object _exchange
    cdef Incoming _incoming
    cdef object _frugal
    cdef bytearray _held
    cdef bint _is_in_head
    cdef bint _is_half_closed
    cdef bint _is_ended
    cdef double _linger_until
    cdef public double deadline
    cdef public double idle_since
    cdef public double head_since
    cdef readonly bint is_new

    cpdef _take(self, bytes data)
    cpdef _hold(self, bytes data)
    cpdef _receive(self, Incoming incoming, bytes data, double when)
    cpdef write(self, bytes data)
    cpdef done(self, double now, bint closes)

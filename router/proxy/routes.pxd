from router.core.table cimport Endpoint
from router.proxy.runtime cimport Runtime
from router.core.instances cimport Deployment

cdef class Leg:
    cdef readonly str name
    cdef readonly Route route
    cdef readonly bint is_idempotent
    cdef readonly double timeout_s
    cdef readonly Deployment state
    cdef readonly bytes constant
    cdef readonly list log_pieces
    cdef bytes _start
    cdef readonly dict starts

    cpdef bytes start(self, str address)

cdef class Route:
    cdef Runtime _runtime
    cdef dict _legs
    cdef readonly Endpoint endpoint
    cdef readonly object spec
    cdef readonly object generation
    cdef readonly str path
    cdef readonly Py_ssize_t max_body_bytes
    cdef readonly bint keeps_credentials

    cpdef Leg leg(self, object spec)

cdef class Routes:
    cdef Runtime _runtime
    cdef object _table
    cdef dict _by_line
    cdef readonly Py_ssize_t max_head_bytes
    cdef readonly Py_ssize_t max_fields

    cpdef follow(self)
    cpdef Route find(self, bytes line)
    cpdef Route _find_slowly(self, bytes line)

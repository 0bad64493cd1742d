cimport cython
from router.core.stats cimport Answered

cdef class Instance:
    cdef readonly str address
    cdef public Py_ssize_t in_flight
    cdef public Py_ssize_t failures
    cdef public Py_ssize_t ejections
    cdef public object check_at
    cdef public bint is_ready
    cdef public bint is_listed

cdef class Deployment:
    cdef readonly str endpoint
    cdef readonly str name
    cdef public Py_ssize_t pending
    cdef public Py_ssize_t upgraded
    cdef readonly Answered answered
    cdef Py_ssize_t _max_concurrent
    cdef Py_ssize_t _max_queue
    cdef dict _instances
    cdef object _queue
    cdef bint _has_unlisted

    @cython.locals(best=Instance, instance=Instance)
    cpdef Instance acquire(self)
    cpdef Instance _acquire_slowly(self)
    cpdef finish(self, Instance instance)
    cpdef serve_queue(self)
    cpdef _take(self, Instance instance)

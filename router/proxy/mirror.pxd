cimport cython
from router.core.plain_reading cimport PlainAnswer, PlainRequest
from router.core.plain_writing cimport plain_copy
from router.core.table cimport Endpoint
from router.proxy.direct cimport DirectExchange
from router.proxy.pool cimport Pool
from router.proxy.routes cimport Leg, Route
from router.proxy.runtime cimport Runtime
from router.proxy.upstream cimport AnswerHead, UpstreamConnection

cdef class PlainCopy:
    cdef readonly Py_ssize_t size
    cdef Route _route
    cdef object _target
    cdef PlainRequest _plain
    cdef bytes _request_id
    cdef bytes _forwarded_for

    @cython.locals(leg=Leg)
    cpdef bytes write_copy(self, str address)

cdef class _Budget:
    cdef readonly object bucket
    cdef readonly object in_flight

cdef class Mirror:
    cdef readonly Runtime runtime
    cdef readonly Pool pool
    cdef readonly set copies
    cdef dict _budgets
    cdef object _held

    @cython.locals(exchange=Copy, budget=_Budget)
    cpdef bint offer(self, Endpoint endpoint, object target, object copy)
    @cython.locals(budget=_Budget)
    cpdef ended(self, Copy copy)
    @cython.locals(budget=_Budget)
    cpdef _Budget _budget(self, object spec)
    cpdef object _claim(self, object spec, object target, _Budget budget, Py_ssize_t size)

cdef class Copy(DirectExchange):
    cdef readonly Endpoint endpoint
    cdef readonly object sent
    cdef public object outcome
    cdef public Py_ssize_t answer_bytes
    cdef bint _is_too_large
    cdef Mirror _mirror
    cdef double _began

    cpdef send_on(self, UpstreamConnection connection)
    cpdef head(self, AnswerHead head)
    cpdef end(self, list parts)
    cpdef _end(self, object outcome)

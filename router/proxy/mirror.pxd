cimport cython
from cpython cimport time
from router.core.bucket cimport TokenBucket
from router.core.instances cimport Deployment, Instance
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

cdef class Mirror

cdef class _Budget:
    cdef readonly Mirror mirror
    cdef readonly object policy
    cdef readonly Py_ssize_t max_in_flight
    cdef readonly Py_ssize_t max_body_bytes
    cdef readonly TokenBucket bucket
    cdef readonly object in_flight

cdef class Mirror:
    cdef readonly Runtime runtime
    cdef readonly Pool pool
    cdef readonly set copies
    cdef list _due
    cdef dict _budgets
    cdef object _held

    @cython.locals(size=Py_ssize_t, budget=_Budget, deployment=Deployment)
    cpdef bint offer(self, Endpoint endpoint, object target, object copy)
    @cython.locals(size=Py_ssize_t, budget=_Budget)
    cpdef ended(self, Copy copy)
    cpdef _send_soon(self, Copy copy)
    @cython.locals(due=list, copy=Copy)
    cpdef _send_due(self)
    @cython.locals(budget=_Budget)
    cpdef _Budget _budget(self, object spec)
    cpdef object _claim(self, _Budget budget, Py_ssize_t size)

cdef class Copy(DirectExchange):
    cdef readonly _Budget budget
    cdef readonly Py_ssize_t size
    cdef readonly object endpoint_numbers
    cdef public object outcome
    cdef public Py_ssize_t answer_bytes
    cdef bint _is_too_large
    cdef object _numbers
    cdef object _sent
    cdef Mirror _mirror
    cdef double _began

    cpdef start(self)
    cpdef send_on(self, UpstreamConnection connection)
    @cython.locals(connection=UpstreamConnection, instance=Instance, now=double)
    cpdef whole(self, PlainAnswer answer)
    cpdef head(self, AnswerHead head)
    cpdef end(self, list parts)
    cpdef _count_answer(self, int status, double now)
    cpdef _end(self, object outcome)

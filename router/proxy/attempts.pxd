from router.proxy.runtime cimport Runtime
from router.core.instances cimport Deployment, Instance
from router.proxy.pool cimport Pool
from router.proxy.upstream cimport UpstreamConnection

cdef class Attempts:
    cdef object __weakref__
    cdef public Runtime _runtime
    cdef public Pool _pool
    cdef public Deployment _deployment
    cdef public bint _may_resend
    cdef public bint _may_wait
    cdef public bint is_streamed
    cdef public Instance _instance
    cdef public UpstreamConnection _connection
    cdef public tuple _failed
    cdef public bint _is_sent

    cpdef _set_up(self, Runtime runtime, Pool pool, Deployment deployment, bint may_resend, bint may_wait)
    cpdef finish(self)
    cpdef close(self)
    cpdef _release(self)

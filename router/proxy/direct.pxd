from router.core.instances cimport Instance
from router.proxy.attempts cimport Attempts
from router.proxy.upstream cimport UpstreamConnection

cdef class DirectExchange(Attempts):
    cdef public double deadline
    cdef public object _task
    cdef public bint _is_queued
    cdef public bint _has_head

    cpdef begin(self)
    cpdef wait(self)
    cpdef grant(self, Instance instance)
    cpdef send_on(self, UpstreamConnection connection)
    cpdef _use(self, UpstreamConnection connection)
    cpdef _start_task(self, object error=*)

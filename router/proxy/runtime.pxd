from libc.stdint cimport int64_t
from router.core.instances cimport Deployment
from router.proxy.access_log cimport AccessLog
from router.proxy.deadlines cimport Deadlines
from router.proxy.pool cimport Pool

cdef list _TWO_DIGITS

cdef class Runtime:
    cdef object __weakref__
    cdef public object table
    cdef public object limits
    cdef public object trusted_proxies
    cdef public object totals
    cdef public object tokens
    cdef public Pool pool
    cdef public list pools
    cdef public Deadlines deadlines
    cdef public Deadlines patience
    cdef public bint is_draining
    cdef public set tunnels
    cdef public object has_table
    cdef public AccessLog access_log
    cdef public object ledger
    cdef public object crowd
    cdef dict _deployments
    cdef dict _bandwidth
    cdef object _random
    cdef object _draw
    cdef double _date_due
    cdef bytes _date
    cdef bytes _id_template
    cdef bytes _id_start
    cdef int64_t _ids

    cpdef double u(self)
    cpdef Deployment find_deployment(self, str endpoint, object spec)
    cpdef bytes request_id(self)
    cpdef bytes http_date(self, double now)

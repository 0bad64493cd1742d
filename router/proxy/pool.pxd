cimport cython
from router.proxy.upstream cimport UpstreamConnection

cdef class Pool:
    cdef object _now
    cdef dict _idle

    @cython.locals(idle=list, connection=UpstreamConnection)
    cpdef UpstreamConnection reuse(self, str address)
    @cython.locals(idle=list)
    cpdef give_back(self, UpstreamConnection connection, object now=*)

cimport cython
from libc.stdint cimport int64_t

cdef tuple _BOUNDS_S

cdef class Answered:
    cdef list _counts
    cdef int64_t _requests
    cdef double _took_s
    cdef int64_t _request_bytes
    cdef int64_t _response_bytes

    @cython.locals(bucket=Py_ssize_t, bound=double)
    cpdef add(self, double took_s, Py_ssize_t request_bytes, Py_ssize_t response_bytes)
    cpdef _clear(self)

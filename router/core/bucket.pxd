cdef class TokenBucket:
    cdef readonly double rate
    cdef readonly double burst
    cdef double _level
    cdef double _then

    cpdef double level(self, double now)
    cpdef bint take(self, Py_ssize_t amount, double now)
    cpdef double reserve(self, Py_ssize_t amount, double now)

cdef class SharedBucket(TokenBucket):
    cdef object _row
    cdef list _seen

    cpdef double level(self, double now)
    cpdef bint take(self, Py_ssize_t amount, double now)
    cpdef double reserve(self, Py_ssize_t amount, double now)

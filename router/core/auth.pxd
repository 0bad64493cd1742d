cimport cython

@cython.locals(credential=bytes)
cpdef bytes bearer(bytes authorization)
@cython.locals(presented=bytes, matches=bint)
cpdef check_key(bytes credential, tuple digests)

cdef class Keys:
    cdef tuple _digests
    cdef list _accepted

    @cython.locals(is_known=bint, accepted=bytes)
    cpdef check(self, bytes authorization)
    cpdef _check_slowly(self, bytes authorization)

cdef class Deadlines:
    cdef object _now
    cdef dict _waiting
    cdef bint _is_armed

    cpdef add(self, object one)
    cpdef discard(self, object one)

cdef class Deadlines:
    cdef object _now
    cdef double _precision_s
    cdef dict _waiting
    cdef list _due
    cdef bint _is_armed
    cdef double _look_at
    cdef bint _was_late

    cpdef add(self, object one)
    cpdef discard(self, object one)

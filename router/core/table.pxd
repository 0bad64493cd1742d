cdef class Endpoint:
    cdef readonly object spec
    cdef dict _by_lower
    cdef list _live
    cdef list _bounds
    cdef double _total
    cdef list _mirrors
    cdef list _mirror_bounds
    cdef readonly bint has_mirror

    cpdef object choose(self, double u)

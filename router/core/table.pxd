cimport cython
from router.core.auth cimport Keys

cdef class Endpoint:
    cdef readonly object spec
    cdef dict _by_lower
    cdef list _live
    cdef frozenset _live_names
    cdef list _bounds
    cdef double _total
    cdef list _mirrors
    cdef list _mirror_bounds
    cdef readonly Keys keys
    cdef readonly bint has_mirror

    @cython.locals(share=double, index=Py_ssize_t, last=Py_ssize_t)
    cpdef object choose(self, double u)
    cpdef bint is_live(self, str deployment)
    cpdef object mirror(self, double u)

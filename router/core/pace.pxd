cdef class Pace:
    cdef readonly double idle_s
    cdef double _min_bytes_per_s
    cdef double _late_s
    cdef double _since

    cpdef came(self, Py_ssize_t size, double now)

cimport cython

cdef list _WHOLE
cdef list _DECIMALS

cpdef bytes whole(Py_ssize_t number)
@cython.locals(microseconds=Py_ssize_t)
cpdef bytes milliseconds(double seconds)

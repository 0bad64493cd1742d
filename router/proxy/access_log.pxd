cimport cython
from libc.stdint cimport int64_t
from router.core.digits cimport milliseconds, whole

cdef class AccessLog:
    cdef public bint is_on
    cdef readonly bint is_json
    cdef public object writer
    cdef list _lines
    cdef bint _is_armed
    cdef _Clock _clock

    cpdef bytes time(self, double now)
    @cython.locals(lines=list)
    cpdef add(self, bytes line)
    cpdef flush(self)

cdef class _Clock:
    cdef int64_t _millisecond
    cdef bytes _text
    cdef bytes _second
    cdef double _second_began
    cdef double _second_ends

    @cython.locals(millisecond=int64_t)
    cpdef bytes text(self, double now)
    cpdef bytes _render(self, double now)

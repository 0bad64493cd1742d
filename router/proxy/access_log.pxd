cdef class AccessLog:
    cdef public bint is_on
    cdef readonly bint is_json
    cdef public object writer
    cdef list _lines
    cdef _Clock _clock

    cpdef _add(self, bytes line)

cdef class _Clock:
    cdef object _millisecond
    cdef bytes _text
    cdef bytes _second
    cdef double _second_began
    cdef double _second_ends

    cpdef bytes text(self, double now)
    cpdef bytes _render(self, double now)

cdef class Outgoing:
    cdef object _transport
    cdef int _descriptor
    cdef bint _is_behind

    cpdef write(self, bytes data)
    cpdef write_two(self, bytes head, object body)
    cpdef defer(self)
    cdef bint _is_free(self) except -1

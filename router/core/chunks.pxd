cdef int _LINE
cdef int _CONTENT
cdef int _CONTENT_END
cdef int _TRAILERS
cdef int _ENDED
cdef int _BROKEN

cdef class Chunks:
    cdef Py_ssize_t _max_bytes
    cdef Py_ssize_t _max_trailers
    cdef int _state
    # Up to 64 bits, and without a sign.
    cdef object _left_bytes
    cdef bytes _line
    cdef Py_ssize_t _excess_bytes
    cdef Py_ssize_t _trailer_bytes
    cdef Py_ssize_t _trailers
    cdef list _parts

    cpdef Py_ssize_t read(self, bytes data, Py_ssize_t at)
    cpdef bytes take(self)
    cdef Py_ssize_t _read_chunks(self, bytes data, Py_ssize_t at) except -1
    cdef Py_ssize_t _read_line(self, bytes data, Py_ssize_t at) except -1
    cdef Py_ssize_t _read_content(self, bytes data, Py_ssize_t at) except -1
    cdef Py_ssize_t _read_content_end(self, bytes data, Py_ssize_t at) except -1
    cdef Py_ssize_t _read_trailer(self, bytes data, Py_ssize_t at) except -1
    cdef Py_ssize_t _hold(self, bytes data, Py_ssize_t at, bytes mark, object begun) except -1

cimport cython

cdef class LineWriter:
    cdef object __weakref__
    cdef public Py_ssize_t dropped
    cdef int _fd
    cdef Py_ssize_t _max_bytes
    cdef Py_ssize_t _batch_bytes
    cdef object _direct
    cdef list _lines
    cdef Py_ssize_t _queued_bytes
    cdef Py_ssize_t _queued_lines
    cdef bint _is_mid_line
    cdef bint _is_abandoned
    cdef object _lock
    cdef object _wake
    cdef object _closing
    cdef double _deadline
    cdef object _thread

    @cython.locals(size=Py_ssize_t)
    cpdef bint write_lines(self, object lines)
    @cython.locals(was_empty=bint)
    cpdef _queue(self, list pieces)

cimport cython
from router.core.headers cimport AnswerFields
from router.core.plain_reading cimport PlainAnswer, read_plain_answer
from router.proxy.outgoing cimport Outgoing

cdef Py_ssize_t _JOINED_BYTES

cpdef bint is_joined(Py_ssize_t length) noexcept

@cython.final
@cython.freelist(64)
cdef class AnswerHead:
    cdef readonly int status
    cdef readonly AnswerFields fields
    cdef readonly object length
    cdef readonly bint has_body

cdef class UpstreamConnection:
    cdef object __weakref__
    cdef readonly str address
    cdef public double idle_since
    cdef public bint is_reused
    cdef object _transport
    cdef Outgoing _outgoing
    cdef list _parts
    cdef readonly object on_body
    cdef object _parser
    cdef object _sink
    cdef bint _is_reusable
    cdef bint _expects_no_body
    cdef bint _until_close
    cdef list _headers
    cdef bint _has_head
    cdef Py_ssize_t _head_bytes
    cdef bint _is_complete
    cdef bint _has_answered
    cdef tuple _upgrades
    cdef bytes _surplus
    cdef object _can_write

    cpdef bint fits(self)
    @cython.locals(outgoing=Outgoing)
    cpdef send(self, bytes head, object body, object sink, bint expects_no_body=*, tuple upgrades=*)
    cpdef close(self)
    cpdef pause(self)
    cpdef resume(self)
    cpdef _finish(self)
    @cython.locals(answer=PlainAnswer)
    cpdef bint _take_whole(self, bytes data)
    @cython.locals(parts=list)
    cpdef list _take_parts(self)
    cpdef _lose(self, object error)

cimport cython

@cython.final
@cython.freelist(64)
cdef class AnswerFields:
    cdef readonly list lines
    cdef readonly object length
    cdef readonly bint is_chunked
    cdef readonly bint has_date

@cython.locals(lines=list, name=bytes, value=bytes, role=Py_ssize_t)
cpdef AnswerFields read_answer(list headers)

cpdef bytes clean_client_request_id(bytes value)

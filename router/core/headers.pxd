cimport cython

@cython.final
@cython.freelist(64)
cdef class PlainRequest:
    cdef public bytes authorization
    cdef public bytes deployment
    cdef public bytes client_request_id
    cdef public bint is_marked
    cdef public bytes user_agent
    cdef readonly bytes host
    cdef readonly list lines
    cdef readonly Py_ssize_t length
    cdef public bint closes

@cython.final
@cython.freelist(64)
cdef class AnswerFields:
    cdef readonly list lines
    cdef readonly object length
    cdef readonly bint is_chunked
    cdef readonly bint has_date

@cython.locals(found=list, kept=list, name=bytes, value=bytes, line=bytes, role=Py_ssize_t, passed_on=Py_ssize_t, number=Py_ssize_t, size=Py_ssize_t)
cpdef PlainRequest read_plain_request(dict fields, list lines, bint keep_credentials)

@cython.locals(plain=PlainRequest)
cpdef PlainRequest _plain(list found, list lines)

@cython.locals(lines=list, name=bytes, value=bytes, role=Py_ssize_t)
cpdef AnswerFields read_answer(list headers)

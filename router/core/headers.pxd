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
    cdef readonly bytes digits
    cdef readonly Py_ssize_t length
    cdef public bint closes

@cython.final
@cython.freelist(64)
cdef class AnswerFields:
    cdef readonly list lines
    cdef readonly object length
    cdef readonly bint is_chunked
    cdef readonly bint has_date

cdef bint _IS_COMPILED
cdef Py_ssize_t _PASS, _DROP, _SPACE, _TAB, _ZERO, _DELETE
cdef Py_ssize_t _UNUSUAL, _ANSWER_LENGTH, _ANSWER_DATE, _MAX_DIGITS
cdef bytes _OK
cdef dict _ROLES
cdef dict _ANSWER_ROLES
cdef bytes _CONTROLS
cdef bytes _TOKEN

@cython.locals(roles=dict, found=list, kept=list, name=bytes, value=bytes, line=bytes, role=Py_ssize_t, passed_on=Py_ssize_t, number=Py_ssize_t, size=Py_ssize_t)
cpdef PlainRequest read_plain_request(bytes head, list lines, bint keep_credentials)

@cython.locals(plain=PlainRequest, host=bytes, digits=bytes, client_request_id=bytes, persistence=bytes, user_agent=bytes)
cpdef PlainRequest _plain(list found, list lines)

@cython.locals(lower=bytes)
cdef Py_ssize_t _role_of_any(bytes name)
@cython.locals(controls=int, byte="unsigned char", space="unsigned char", tab="unsigned char", delete="unsigned char")
cdef bint _has_controls(bytes head, list lines)

@cython.locals(lines=list, name=bytes, value=bytes, role=Py_ssize_t)
cpdef AnswerFields read_answer(list headers)

@cython.locals(roles=dict, kept=list, name=bytes, value=bytes, line=bytes, digits=bytes, role=Py_ssize_t, number=Py_ssize_t, size=Py_ssize_t, has_date=bint)
cpdef AnswerFields read_plain_answer(bytes head, list lines)
cdef Py_ssize_t _answer_role_of_any(bytes name)

cpdef bytes clean_client_request_id(bytes value)

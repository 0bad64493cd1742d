cimport cython
from router.core.digits cimport milliseconds
from router.core.headers cimport AnswerFields

cdef bytes _CRLF
cdef bytes _OK
cdef bytes _TIMING

@cython.locals(lines=list)
cpdef bytes plain_answer(AnswerFields fields, list own, double own_s, bytes http_date, bytes body)

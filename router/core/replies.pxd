cimport cython
from router.core.headers cimport AnswerFields

@cython.locals(lines=list)
cpdef bytes plain_head(AnswerFields fields, bytes own, double own_s, bytes http_date)

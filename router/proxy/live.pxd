from router.proxy.access_log cimport AccessLog
from router.proxy.runtime cimport Runtime
cimport cython
from cpython cimport time
from router.core.headers cimport PlainRequest
from router.core.instances cimport Instance
from router.core.digits cimport milliseconds, whole
from router.core.replies cimport plain_answer
from router.core.stats cimport Answered
from router.proxy.direct cimport DirectExchange
from router.proxy.routes cimport Leg
from router.proxy.upstream cimport AnswerHead, UpstreamConnection

cdef bytes _CRLF

cdef class Client:
    cdef public bytes forwarded_for
    cdef public bint is_stalled

    cpdef write(self, bytes data)
    cpdef done(self, double now, bint closes)
    cpdef cut(self)
    cpdef cut_unread(self)

cdef class LiveExchange(DirectExchange):
    cdef AnswerHead _head
    cdef object _framing
    cdef object _record
    cdef double _sent
    cdef double _answered
    cdef Client _client
    cdef Leg _leg
    cdef PlainRequest _plain
    cdef bytes _request_id
    cdef double _began
    cdef public list lines
    cdef public bytes rest

    @cython.locals(instance=Instance, connection=UpstreamConnection, start=bytes)
    cpdef begin(self)
    cpdef head(self, AnswerHead head)
    cpdef flush(self, list parts)
    @cython.locals(head=AnswerHead)
    cpdef end(self, list parts)
    @cython.locals(runtime=Runtime, log=AccessLog, leg=Leg, plain=PlainRequest, body=bytes, began=double, sent=double, answered=double, now=double, request_id=bytes, client_id=bytes, own_s=double, own=list, answer=bytes, connection=UpstreamConnection, instance=Instance)
    cpdef _end_plainly(self, AnswerHead head, list parts)
    cpdef _write(self, list parts, bint is_last)
    cpdef _end(self)
    cpdef _cut(self)
    cpdef _leave(self)

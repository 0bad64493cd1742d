from router.proxy.access_log cimport AccessLog
from router.proxy.runtime cimport Runtime
cimport cython
from cpython cimport time
from router.core.plain_reading cimport PlainAnswer, PlainRequest
from router.core.plain_writing cimport plain_answer, plain_line, plain_request
from router.core.instances cimport Instance
from router.core.stats cimport Answered
from router.proxy.direct cimport DirectExchange
from router.proxy.routes cimport Leg
from router.proxy.upstream cimport AnswerHead, UpstreamConnection, is_joined

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

    @cython.locals(instance=Instance, connection=UpstreamConnection)
    cpdef begin(self)
    @cython.locals(plain=PlainRequest)
    cpdef whole(self, PlainAnswer answer)
    cpdef head(self, AnswerHead head)
    cpdef flush(self, list parts)
    cpdef end(self, list parts)
    @cython.locals(plain=PlainRequest, address=str, start=bytes, has_body=bint, request=bytes)
    cpdef _send(self, UpstreamConnection connection)
    @cython.locals(runtime=Runtime, log=AccessLog, leg=Leg, plain=PlainRequest, began=double, sent=double, answered=double, now=double, request_id=bytes, length=Py_ssize_t, date=bytes, own_s=double, pieces=list, time_text=bytes, total_s=double, request_s=double, response_s=double, connection=UpstreamConnection, instance=Instance)
    cpdef _end_plainly(self, PlainAnswer answer)
    cpdef _write(self, list parts, bint is_last)
    cpdef _end(self)
    cpdef _cut(self)
    cpdef _leave(self)

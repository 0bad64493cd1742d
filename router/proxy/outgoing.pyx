"""The same as in `outgoing.py`, past the event loop."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memset

cdef extern from "sys/socket.h" nogil:
    ctypedef struct iovec "struct iovec":
        void *iov_base
        size_t iov_len
    ctypedef struct msghdr "struct msghdr":
        iovec *msg_iov
        size_t msg_iovlen
    int MSG_DONTWAIT, MSG_NOSIGNAL
    ssize_t send(int descriptor, const void *data, size_t size, int flags)
    ssize_t sendmsg(int descriptor, const msghdr *message, int flags)


cdef class Outgoing:

    def __init__(self, transport):
        self._transport = transport
        self._descriptor = _descriptor(transport)
        self._is_behind = False

    cpdef write(self, bytes data):
        cdef ssize_t sent
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        if not self._is_free():
            self._transport.write(data)
            return
        sent = send(self._descriptor, PyBytes_AS_STRING(data), size, MSG_DONTWAIT | MSG_NOSIGNAL)
        if sent != size:
            self._is_behind = True
            self._transport.write(memoryview(data)[sent:] if sent > 0 else data)

    cpdef write_two(self, bytes head, object body):
        cdef Py_buffer view
        cdef iovec parts[2]
        cdef msghdr message
        cdef ssize_t sent
        cdef Py_ssize_t size = PyBytes_GET_SIZE(head)
        if not self._is_free():
            self._transport.writelines((head, body))
            return
        PyObject_GetBuffer(body, &view, PyBUF_SIMPLE)
        parts[0].iov_base, parts[0].iov_len = PyBytes_AS_STRING(head), size
        parts[1].iov_base, parts[1].iov_len = view.buf, view.len
        memset(&message, 0, sizeof(message))
        message.msg_iov, message.msg_iovlen = parts, 2
        sent = sendmsg(self._descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL)
        PyBuffer_Release(&view)
        if sent == size + view.len:
            return
        self._is_behind = True
        if sent < size:
            self._transport.writelines((memoryview(head)[max(0, sent):], body))
        else:
            self._transport.write(memoryview(body)[sent - size:])

    cpdef defer(self):
        self._descriptor = -1

    cdef bint _is_free(self) except -1:
        """Whether nothing waits in the transport that was written before."""
        if self._is_behind:
            self._is_behind = self._transport.get_write_buffer_size() > 0
        return self._descriptor >= 0 and not self._is_behind


cdef int _descriptor(object transport) except -2:
    """That of its socket; -1 if what is written is not what goes out (TLS), or there is none."""
    connection = transport.get_extra_info("socket")
    if connection is None or transport.get_extra_info("sslcontext") is not None:
        return -1
    return connection.fileno()

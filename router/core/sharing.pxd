cimport cython
from router.core.instances cimport Deployment, Instance
from router.core.ledger cimport Ledger, Row

cdef class SharedDeployment(Deployment):
    cdef Ledger _ledger
    cdef Row _queue_row
    cdef dict _rows
    cdef dict _began
    cdef bint _is_known_to_wait

    @cython.locals(best=Instance, instance=Instance, row=Row)
    cpdef Instance acquire(self)
    cpdef finish(self, Instance instance)
    cpdef serve_queue(self)
    @cython.locals(row=Row)
    cpdef bint _claim(self, Instance instance, object since)
    @cython.locals(row=Row)
    cpdef _give_back(self, Instance instance)

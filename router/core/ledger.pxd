cdef class Ledger

cdef class Count:
    cdef readonly Py_ssize_t own

    cpdef bint claim(self, Py_ssize_t amount, Py_ssize_t limit)
    cpdef add(self, Py_ssize_t amount)
    cpdef give_back(self, Py_ssize_t amount)

cdef class Row:
    cdef readonly Py_ssize_t number
    cdef Ledger _ledger
    cdef Py_ssize_t _slot
    cdef object _counts
    cdef object _since
    cdef object _since_bytes

    cpdef object total(self)
    cpdef bint claim(self, object amount, object limit)
    cpdef give_back(self, object amount)
    cpdef bint is_awaited(self)
    cpdef wait(self, object since)

cdef class Ledger:
    cdef object __weakref__
    cdef readonly Py_ssize_t slot
    cdef readonly Py_ssize_t slots
    cdef public bint is_impatient
    cdef public bint stood_back
    cdef public set opened
    cdef public object listed
    cdef public dict waiting
    cdef readonly bytes nobody
    cdef Py_ssize_t _looks_in_vain
    cdef object _memory
    cdef Row _beats

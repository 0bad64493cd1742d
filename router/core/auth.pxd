cimport cython

@cython.locals(credential=bytes)
cpdef bytes bearer(bytes authorization)
@cython.locals(presented=bytes, matches=bint)
cpdef check_key(bytes credential, tuple digests)

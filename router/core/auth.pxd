cpdef bytes bearer(bytes authorization)
cpdef check_key(bytes credential, tuple digests)

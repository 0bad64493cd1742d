from router.core.plain_reading cimport PlainAnswer, PlainRequest

cpdef bytes plain_request(
    PlainRequest plain, bytes start, bytes request_id, bytes forwarded_for, bint has_body=*
)
cpdef bytes plain_copy(PlainRequest plain, bytes start, bytes request_id, bytes forwarded_for)
cpdef bytes plain_answer(
    PlainAnswer answer, bytes request_id, bytes constant, bytes client_id, double own_s, bytes http_date
)
cpdef bytes plain_line(
    list pieces,
    PlainRequest plain,
    Py_ssize_t response_bytes,
    bytes time,
    bytes request_id,
    double total_s,
    double request_s,
    double response_s,
)

from router.core.auth cimport Keys, bearer
from router.core.table cimport Endpoint

cpdef authenticate(Endpoint endpoint, object authorization, object tokens, object wall_now)

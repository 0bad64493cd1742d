"""The answers that the router itself gives, as exceptions that carry status, body and headers.

Source: Azure ML managed online endpoints, status codes. `code` is teal's own machine-readable reason and travels in
`x-teal-reason`.
"""

import json

TEXT = "text/plain"
JSON = "application/json"


class RouterError(Exception):
    """The router refuses the request, or its instance failed it; the attributes are what the client gets."""

    status = 502
    code = "internal_error"
    content_type = TEXT
    #: Close the connection after the answer: its framing can no longer be trusted.
    closes = False

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message

    @property
    def body(self) -> bytes:
        return self.message.encode()

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Headers of this answer beyond content type, length and `x-teal-reason`."""
        return ()


class InternalError(RouterError):
    """A fault of the router's own. 502, since clients of Azure re-send a request that gets 500 or 503."""

    status = 502
    closes = True

    def __init__(self) -> None:
        super().__init__("The router failed to handle this request.")


class BadRequest(RouterError):
    """The message is not HTTP that we are willing to understand."""

    status = 400
    code = "bad_request"
    closes = True


class HeadTooLarge(RouterError):
    status = 431
    code = "head_too_large"
    closes = True

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"The request line and headers are over the limit of {limit_bytes} bytes.")


class TooManyFields(RouterError):
    status = 431
    code = "head_too_large"
    closes = True

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request has more than {limit} header fields.")


class NotImplementedHere(RouterError):
    """HTTP that no endpoint of this router understands, whatever its method or its target."""

    status = 501
    code = "not_implemented"
    closes = True


class VersionNotSupported(RouterError):
    status = 505
    code = "version_not_supported"
    closes = True

    def __init__(self) -> None:
        super().__init__("This router speaks HTTP/1.1 and HTTP/1.0.")


class LastForward(RouterError):
    """No refusal: an OPTIONS request that must not be forwarded any further (RFC 9110, 7.6.2)."""

    status = 200
    code = "max_forwards"

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return (("allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),)


class BodyTooLarge(RouterError):
    status = 413
    code = "body_too_large"
    closes = True

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"The request body is over the limit of {limit_bytes} bytes.")


class BodyTimeout(RouterError):
    """The client stopped sending its body."""

    status = 408
    code = "body_timeout"
    closes = True

    def __init__(self, idle_s: float) -> None:
        super().__init__(f"No byte of the request body came for {idle_s:g} seconds.")


class HeadTimeout(RouterError):
    """The client began a request and did not get to the end of its head."""

    status = 408
    code = "head_timeout"
    closes = True

    def __init__(self, limit_s: float) -> None:
        super().__init__(f"The request line and headers were not complete after {limit_s:g} seconds.")


class TooManyConnections(RouterError):
    """There is no place for the client's connection."""

    status = 503
    code = "too_many_connections"
    closes = True

    def __init__(self) -> None:
        super().__init__("The router has no place for another connection.")

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return (("retry-after", "1"),)


class TooManyConnectionsOfAddress(RouterError):
    """The client's address has all the connections that one may have."""

    status = 503
    code = "too_many_connections_of_address"
    closes = True

    def __init__(self) -> None:
        super().__init__("The router has no place for another connection of this address.")

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return (("retry-after", "1"),)


class NoDescriptors(RouterError):
    """The process may not open another connection to an instance; nothing was sent, so the client may try again."""

    status = 503
    code = "no_descriptors"
    closes = True

    def __init__(self) -> None:
        super().__init__("The router is out of file descriptors.")

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return (("retry-after", "1"),)


class AuthHeaderMissing(RouterError):
    status = 401
    code = "key_auth_bad_header_forbidden"

    def __init__(self) -> None:
        super().__init__("key_auth_bad_header_forbidden")

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return (("www-authenticate", "Bearer"),)  # RFC 9110, 15.5.2: a 401 must carry a challenge


class AccessDenied(RouterError):
    status = 401
    code = "key_auth_access_denied"

    def __init__(self) -> None:
        super().__init__("key_auth_access_denied")

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return (("www-authenticate", 'Bearer error="invalid_token"'),)


class NotFound(RouterError):
    """Nothing is at that address; `message` names what exists only where the caller has shown a credential."""

    status = 404
    code = "not_found"
    content_type = JSON

    @property
    def body(self) -> bytes:
        return json.dumps({"error": {"code": self.code, "message": self.message}}).encode()


class EndpointNotFound(NotFound):
    code = "endpoint_not_found"

    def __init__(self) -> None:
        super().__init__("There is no endpoint at this address.")


class PathNotFound(NotFound):
    code = "path_not_found"

    def __init__(self) -> None:
        super().__init__("The endpoint has nothing at this path.")


class DeploymentNotFound(NotFound):
    code = "deployment_not_found"

    def __init__(self, endpoint: str, deployment: str, existing: tuple[str, ...]) -> None:
        has = ", ".join(existing) or "none"
        super().__init__(f"endpoint {endpoint} has no deployment {deployment!r}; it has {has}")


class NoLiveDeployment(RouterError):
    """Every weight is 0."""

    status = 404
    code = "no_live_deployment"

    def __init__(self) -> None:
        super().__init__(
            "No valid deployments to route to. Please check that the endpoint has at least one deployment with "
            "positive weight values or use a deployment specific header to route."
        )


class RequestTimeout(RouterError):
    """The request took longer than `request_timeout_ms`, queueing included."""

    status = 408
    code = "upstream_timeout"

    def __init__(self) -> None:
        super().__init__("upstream request timeout")


class QueueFull(RouterError):
    status = 429
    code = "too_many_pending_request"

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return (("ms-azureml-model-error-reason", self.code), ("retry-after", "1"))


class NoReadyInstance(RouterError):
    status = 424
    code = "model_not_ready"

    def __init__(self) -> None:
        super().__init__("no healthy upstream")

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return (("ms-azureml-model-error-reason", self.code),)


class UpstreamReset(RouterError):
    """The instance died, reset or answered garbage before the first byte of its answer."""

    status = 424
    code = "upstream_reset"

    def __init__(self) -> None:
        super().__init__("upstream connect error or disconnect/reset before headers")

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return (("ms-azureml-model-error-reason", self.code),)


class AnswerTimeout(RouterError):
    """An instance rested in the middle of its answer, which is cut short: nobody gets to see this error."""

    status = 424
    code = "answer_timeout"


class ClientStalled(RouterError):
    """The client does not read its answer, which is cut short: nobody gets to see this error."""

    status = 408
    code = "client_stalled"

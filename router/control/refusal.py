"""Why the control process does not do what it is asked to do; each kind has the HTTP status that means it."""

from collections.abc import Iterable

from router.control.config.problem import Problem


class Refusal(Exception):
    """Nothing was changed. The message is one sentence for a person; `problems` has every reason, where there are more.

    Attributes:
        status: HTTP status of the answer.
        code: One word for programs.
    """

    status = 400
    code = "bad_request"

    def __init__(self, message: str, problems: Iterable[Problem] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.problems = tuple(problems)


class NotFound(Refusal):
    """What was named does not exist."""

    status = 404
    code = "not_found"


class Forbidden(Refusal):
    """It takes the Unix socket, or a token."""

    status = 403
    code = "forbidden"


class Conflict(Refusal):
    """It contradicts what there is: a version with other content, something in use, a file that is not valid."""

    status = 409
    code = "conflict"


class Invalid(Refusal):
    """It breaks rules; `problems` has them all."""

    status = 422
    code = "invalid"

    def __init__(self, problems: Iterable[Problem]) -> None:
        problems = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in problems), problems)


class Unavailable(Refusal):
    """The daemon starts or stops, and changes nothing meanwhile."""

    status = 503
    code = "unavailable"


class NotWritten(Refusal):
    """The disk did not take it; what was there is as it was."""

    status = 507
    code = "not_written"


class StorageFull(NotWritten):
    """There is no room."""

    code = "storage_full"


def there_is(names: Iterable[str]) -> str:
    """The end of a sentence that says what was not found."""
    listed = ", ".join(names)
    return f"there is {listed}" if listed else "there is none"

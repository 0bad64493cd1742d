"""Questions before what cannot be taken back."""

from collections.abc import Callable, Mapping

from knack.prompting import NoTTYException, prompt_y_n

from router.cli.errors import Interrupted, Refused

Confirmation = Callable[[Mapping[str, object]], bool]


def asking(question: str) -> Confirmation:
    """Asks on the terminal; without one it refuses.

    Args:
        question: May name the command's arguments in braces.
    """

    def confirm(arguments: Mapping[str, object]) -> bool:
        asked = question.format_map(arguments)
        try:
            return _ask(asked)
        except NoTTYException as error:
            raise Refused([f"{asked} There is no terminal to ask on; say so with --yes"]) from error

    return confirm


def asking_people(question: str) -> Confirmation:
    """Asks on the terminal; without one it goes on, as `az` does, for scripts that were written for it."""

    def confirm(arguments: Mapping[str, object]) -> bool:
        try:
            return _ask(question.format_map(arguments))
        except NoTTYException:
            return True

    return confirm


def _ask(question: str) -> bool:
    try:
        return bool(prompt_y_n(question))
    except EOFError:  # Ctrl-D
        return False
    except KeyboardInterrupt as error:
        raise Interrupted(["", "interrupted; nothing was done"]) from error  # below the question

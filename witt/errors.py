"""The one exception that the command line shows as a single line."""


class InputError(ValueError):
    """What the user gave cannot be used; the message names it and says what to do.

    The command line prints the message as ``Error: …`` and exits with code 2.
    """


def one_line(error: BaseException) -> str:
    """What an error says, on one line, its type where it says nothing."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__

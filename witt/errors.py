"""The one exception that the command line shows as a single line."""


class InputError(ValueError):
    """What the user gave cannot be used; the message names it and says what to do.

    The command line prints the message as ``Error: …`` and exits with code 2.
    """

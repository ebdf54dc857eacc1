"""What ends a command with one line instead of a traceback."""


class UsageError(Exception):
    """One line for the user: what is wrong, where, and what would be right.

    The command line prints it without a traceback and exits with code 2.
    """


class RunFailed(Exception):
    """One line on a failure that is not the user's mistake; the command exits with code 1."""

"""The one exception that a user's mistake raises."""


class UsageError(Exception):
    """One line for the user: what is wrong, where, and what would be right.

    The command line prints it without a traceback and exits with code 2.
    """

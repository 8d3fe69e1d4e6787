"""The two ways to fail: the caller was wrong, or the world was."""


class UsageError(Exception):
    """What was asked for makes no sense; exit code 2."""


class StackError(Exception):
    """What was asked for could not be done; exit code 1. The message says what to do."""

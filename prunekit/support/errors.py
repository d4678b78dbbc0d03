"""The one exception that means: the user can mend this, and other exceptions in one line."""


class UserError(Exception):
    """Bad input, told in one line that names the field, file or row and says what would be right.

    Entry points print the line and exit with status 2, without a traceback (``PRUNEKIT_TRACEBACK=1`` shows it).
    """


class RowError(UserError):
    """Bad input in a row of data.

    Args:
        where: task and split.
        row: counted from 0, as Python and `datasets` do; the message says so.
        problem: and what would be right.
    """

    def __init__(self, where: str, row: int, problem: str) -> None:
        super().__init__(f"{where}, row {row}: {problem} (rows are counted from 0, without a heading)")


def first_line(error: BaseException) -> str:
    """Of an exception's message, or its name where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

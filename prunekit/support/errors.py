"""The one exception that means: the user can mend this."""


class UserError(Exception):
    """Bad input, told in one line that names the field, file or row and says what would be right.

    Entry points print the line and exit with status 2, without a traceback (``PRUNEKIT_TRACEBACK=1`` shows it).
    """

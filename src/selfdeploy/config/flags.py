"""Numbers on the command line; all flags are text, since invoke's own conversion fails with a traceback."""

import re

from selfdeploy import errors


def count(flag: str, text: str, *, least: int = 0) -> int:
    """Return TEXT, the value of FLAG, as a whole number.

    Raises:
        errors.ConfigInvalid: TEXT is not a number of up to nine digits, or is less than LEAST.
    """
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < least:
        raise errors.ConfigInvalid(f"{flag}: {text[:80]!r} is not a number from {least} up", "write it in digits")
    return int(text)

"""Numbers on a command line: all flags are text, for what invoke would make a number ends in a traceback of its own."""

import re

from selfdeploy import errors


def count(flag: str, text: str, *, least: int = 0) -> int:
    """Return the whole number that TEXT, given for FLAG, is.

    Raises:
        errors.ConfigInvalid: it is none, or is less than LEAST.
    """
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < least:
        raise errors.ConfigInvalid(f"{flag}: {text[:80]!r} is no number from {least} up", "say it in digits")
    return int(text)

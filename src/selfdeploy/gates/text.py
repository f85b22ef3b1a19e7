"""A gate's log as readable lines, without colours and overwritten text; pure."""

import re

ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
"""Control sequences (ECMA-48): colours, cursor movements, and titles or links of a terminal."""

CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]")


def lines(output: str) -> list[str]:
    """Return the lines of OUTPUT as a terminal would show them."""
    plain = ESCAPES.sub("", output)
    return [CONTROLS.sub("", line.rstrip("\r").rpartition("\r")[2]).rstrip() for line in plain.split("\n")]

"""Has every Python that has this on its path note, when it ends, the CPU seconds and the memory that it took."""

import atexit
import json
import os
import resource
import sys


def _note() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    facts = {"argv": sys.argv[:4], "cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss * 1024}
    with open(os.environ["SELFDEPLOY_USAGE"], "a", encoding="utf-8") as file:  # noqa: PTH123 -- it starts with each
        file.write(json.dumps(facts) + "\n")


if "SELFDEPLOY_USAGE" in os.environ:
    atexit.register(_note)

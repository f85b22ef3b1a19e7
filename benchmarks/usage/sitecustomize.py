"""Has every Python that has this on its path note, when it ends, the CPU seconds and the memory that it took."""

import atexit
import json
import os
import resource
import sys


def _note() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    with open("/proc/self/status", encoding="utf-8") as status:  # noqa: PTH123
        # Of this program alone: ru_maxrss begins with what the process that started it had.
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    facts = {"argv": sys.argv[:4], "cpu": used.ru_utime + used.ru_stime, "peak": peak * 1024}
    with open(os.environ["SELFDEPLOY_USAGE"], "a", encoding="utf-8") as file:  # noqa: PTH123 -- it starts with each
        file.write(json.dumps(facts) + "\n")


if "SELFDEPLOY_USAGE" in os.environ:
    atexit.register(_note)

"""A clock that is off: a process and all that it starts are told another time of day, and wait as long as they mean to.

libfaketime shifts what waits are made of as well, so that Python's never end; this shifts the time of day alone.
"""

import shutil
from pathlib import Path

from lab import children
from lab.needed import need

SOURCE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static time_t off(void) { return atol(getenv("LAB_CLOCK_OFF")); }

int clock_gettime(clockid_t id, struct timespec *at) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(id, at);
    if (!failed && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) at->tv_sec += off();
    return failed;
}

int gettimeofday(struct timeval *at, void *zone) {
    int (*real)(struct timeval *, void *) = dlsym(RTLD_NEXT, "gettimeofday");
    int failed = real(at, zone);
    if (!failed) at->tv_sec += off();
    return failed;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


def shifted(folder: Path, seconds: int) -> dict[str, str]:
    """Return the environment variables that have a process's clock be SECONDS ahead; what they name is in FOLDER."""
    need([] if shutil.which("cc") else ["a C compiler"])
    source, library = folder / "clock.c", folder / "clock.so"
    source.write_text(SOURCE)
    children.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"])
    return {"LD_PRELOAD": str(library), "LAB_CLOCK_OFF": str(seconds)}

"""A kubeconfig that a CI job has as a secret: held in memory for kubectl to read, and in no file."""

import functools
import os

VARIABLE = "SF_KUBECONFIG"


@functools.cache
def hold(text: str) -> str:
    """Return a path at which our own children read TEXT for as long as this process lives; it is on no disk."""
    handle = os.memfd_create("kubeconfig", 0)  # survives our becoming another program
    with os.fdopen(os.dup(handle), "wb") as memory:
        memory.write(text.encode())
    return f"/proc/{os.getpid()}/fd/{handle}"


def given() -> str:
    """Return the path of the kubeconfig that the environment holds; empty when it holds none."""
    text = os.environ.get(VARIABLE, "")
    return hold(text) if text.strip() else ""

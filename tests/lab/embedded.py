"""The registry that a release starts for itself, taken away again."""

import subprocess

from lab import images


def remove(repository: str) -> None:
    """Remove the registry that serves REPOSITORY (`127.0.0.1:PORT/NAME`), its data, and what the engine has from it."""
    host = repository.partition("/")[0]
    name = f"selfdeploy-registry-{host.rpartition(':')[2]}"
    for argv in (["rm", "--force", "--volumes", name], ["volume", "rm", "--force", name]):
        subprocess.run(["docker", *argv], capture_output=True, check=False)
    images.forget(host)

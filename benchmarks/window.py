"""How long a change goes on after the lock was last checked: Docker has no way to make it depend on the lock."""

import time
from dataclasses import dataclass, field

from lab.site import Site
from selfdeploy import environments, provenance
from selfdeploy.build import assembly
from selfdeploy.config import deploy_toml
from selfdeploy.environments import Lock


@dataclass(kw_only=True)
class Watched:
    """LOCK, and when it was last checked."""

    lock: Lock
    checked: float = field(default=0.0)

    @property
    def container(self) -> str:
        """What the runtime calls it."""
        return self.lock.container

    @property
    def replaced(self) -> str:
        """Who had it before."""
        return self.lock.replaced

    def check(self) -> None:
        """Check it, and remember when."""
        self.lock.check()
        self.checked = time.monotonic()


def measure(site: Site, times: int) -> list[float]:
    """Return the seconds, of TIMES rollouts of SITE's release to test, from the last check to the end of the change."""
    project = deploy_toml.load(site.folder)
    environment = environments.connect(project, "test")
    release = assembly.Assembly(project).recorded_here()
    if release is None:
        raise LookupError(f"{site.folder}: no release")
    made, seconds = release.manifest, []
    with environment.hold(made.image.reference, provenance.read_holder()) as lock:
        for _ in range(times):
            watched = Watched(lock=lock)
            environment.apply(watched, made, environment.render(made), recreate=True)
            seconds.append(time.monotonic() - watched.checked)
    return seconds

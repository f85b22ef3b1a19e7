"""Restore lost images of present releases and rollback targets in the registry, by a push from an engine.

An engine that packs an image's layers anew for a push returns the same image only if it built that image itself. An
engine with the containerd image store keeps the bytes as pulled. Only the same digest counts.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from selfdeploy import config, engine, environments, errors, manifest, registry
from selfdeploy.build import protection
from selfdeploy.environments import Lock
from selfdeploy.rollout import admission, retention


@dataclass(frozen=True, kw_only=True)
class Restoring:
    """The releases of PROJECT that environments need, and STORE, their registry; TELL receives a line per event."""

    project: config.Project
    store: registry.Registry
    tell: Callable[[str], None]

    def restore(self, locks: Mapping[str, Lock | None]) -> tuple[list[manifest.Manifest], bool]:
        """Restore STORE's missing parts of the present releases and the rollback targets of the environments in LOCKS.

        Return the releases with complete images in STORE, and whether anything was restored. TELL receives failures,
        and no error is raised: the next release builds the missing parts again.
        """
        whole, restored = [], False
        for release in self._needed(locks):
            try:
                restored = self._restore(release) or restored
                whole.append(release)
            except errors.SelfdeployError as exc:
                self.tell(f"{release.source.revision[:12]}: {exc.message}")
        return whole, restored

    def _needed(self, locks: Mapping[str, Lock | None]) -> list[manifest.Manifest]:
        """Return the needed releases, each once, in the repository that deploy.toml names now."""
        found: dict[str, manifest.Manifest] = {}
        for name, lock in locks.items():
            try:
                environment = environments.connect(self.project, name)
                for proven in retention.kept(environment.read(lock)):
                    found[proven.release] = admission.believe(environment, proven)
            except errors.SelfdeployError as exc:
                self.tell(f"{name}: not known what it needs: {exc.message}")
        return [each for each in found.values() if each.image.repository == self.project.image.repository]

    def _restore(self, release: manifest.Manifest) -> bool:
        """Return whether STORE lacked a part of RELEASE and has it now.

        Raises:
            errors.ImageGone: STORE lacks a part of the image, and no engine here returns the same image.
        """
        image = release.image
        absent = self.store.absent(image.digest)
        if absent and not self._push(image):
            raise errors.ImageGone(f"the registry lacks {absent[0]} of it, and no engine here gives it back")
        gone = protection.missing(self.store, release)
        if gone:
            protection.protect(self.store, release)
            gone = [tag for tag in gone if self.store.digest(tag)]
        restored = absent + gone
        if restored:
            more = f" and {len(restored) - 1} more" if len(restored) > 1 else ""
            self.tell(f"{release.source.revision[:12]}: the registry had lost {restored[0]}{more}: restored")
        return bool(restored)

    def _push(self, image: manifest.Image) -> bool:
        """Push IMAGE from an engine that has it; return whether STORE has it complete then.

        The tag of the push stays on the engine: without its last tag, an image would lose its digest, too.
        """
        name = f"{image.repository}:again-{image.digest.removeprefix('sha256:')}"
        for each in self._engines():
            try:
                if each.inspect("image", image.reference) is None:
                    continue
                each.run("tag", image.reference, name)
                each.run("push", "--quiet", name, timeout=self.project.image.timeout)
            except errors.SelfdeployError as exc:
                self.tell(f"{image.digest}: {exc.message}")
                continue
            if not self.store.absent(image.digest):
                return True
        return False

    def _engines(self) -> Iterator[engine.Engine]:
        """Yield the engine that builds, then those of the environments, each once."""
        seen = [engine.connect("image", "")]
        yield seen[0]
        for name, settings in self.project.environments.items():
            if isinstance(settings, config.Compose):
                found = engine.connect(name, settings.engine)
                if all((found.host, found.context) != (other.host, other.context) for other in seen):
                    seen.append(found)
                    yield found

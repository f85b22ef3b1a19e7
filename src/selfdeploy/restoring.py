"""What a registry has lost of the releases that run, or that a rollback brings back, pushed again from an engine.

An engine that packs the layers of an image anew for a push gives back the very same image only where it built that
itself; one with the containerd image store has the bytes as they were pulled. Only the same digest counts.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from selfdeploy import config, environments, errors, manifest, protection, registry, retention
from selfdeploy.environments import Lock, engine


@dataclass(frozen=True, kw_only=True)
class Restoring:
    """The releases of PROJECT that environments need, and STORE, which should have them; TELL is told a line each."""

    project: config.Project
    store: registry.Registry
    tell: Callable[[str], None]

    def restore(self, locks: Mapping[str, Lock | None]) -> tuple[list[manifest.Manifest], bool]:
        """Give STORE what it lacks of what the environments that LOCKS names run or would be rolled back to.

        Return those releases of them whose images it has whole now, and whether anything was restored. What cannot
        be restored is told, and no error: what a release needs of it is made anew.
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
        """Return the releases, each once, that are in the repository that deploy.toml names now."""
        found: dict[str, manifest.Manifest] = {}
        for name, lock in locks.items():
            try:
                for proven in retention.kept(environments.connect(self.project, name).read(lock)):
                    found[proven.release] = manifest.parse(proven.manifest.encode(), f"{name}: record")
            except errors.SelfdeployError as exc:
                self.tell(f"{name}: not known what it needs: {exc.message}")
        return [each for each in found.values() if each.image.repository == self.project.image.repository]

    def _restore(self, release: manifest.Manifest) -> bool:
        """Return whether STORE lacked something of RELEASE that it has now.

        Raises:
            errors.ImageGone: it lacks a part of the image, and no engine here has the very same one.
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
        """Return whether STORE has IMAGE whole, once an engine that holds it has pushed it.

        The name it is pushed by stays on the engine: with its last tag an image would lose its digest too.
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

"""From a gated tree to its image in the registry: the base, the build, and a second build to compare."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from selfdeploy import config, errors, registry, shipped, source, tree
from selfdeploy.build import base, builders, inspection
from selfdeploy.build.builders import context, packing
from selfdeploy.gates import receipt
from selfdeploy.registry import difference, refusal

DOCKERFILE = "docker/Dockerfile.sf-server"


@dataclass(frozen=True, kw_only=True)
class Images:
    """The images of REVISION's gated trees in STORE; TELL receives lines of progress."""

    project: config.Project
    revision: source.Revision
    store: registry.Registry
    tell: Callable[[str], None]
    _tried: set[str] = field(default_factory=set, repr=False)

    @property
    def _dockerfile(self) -> Path:
        return shipped.find(self.project, DOCKERFILE)

    def tag(self, gated: receipt.GatedTree) -> str:
        """Return the tag of GATED's image; another revision, base or Dockerfile gives an equal tree another tag."""
        labels = inspection.labels(self.revision, gated.ship, gated.digest)
        made_on = self.project.image.base or base.recipe("base", self.project.gates.node)
        made_by = builders.recipe(self.project) or made_on
        return inspection.tag(labels, self._dockerfile.read_bytes(), made_by, self.revision.epoch)

    def builder(self, base_image: str = "", dockerfile: Path | None = None) -> builders.Builder:
        """Return the builder of a gated tree's image on BASE_IMAGE; DOCKERFILE replaces the project's."""
        arguments = {"BASE": base_image} if base_image else {}
        return builders.choose(self.project, dockerfile or self._dockerfile, arguments, self.revision)

    def refuse_unfit_base(self) -> None:
        """Raise the errors of `base.refuse_unfit` for the base image in deploy.toml; try each digest once."""
        named = self.project.image.base
        if named and named not in self._tried:
            base.refuse_unfit(named, self.project.gates.node, self.builder())
            self._tried.add(named)

    def base(self) -> str:
        """Return the base image by digest: the configured one, or one built here and kept in the registry."""
        if found := self.find_base():
            return found
        base.push(self.project, self.own_base, self.revision, self.tell)
        found = self.find_base()
        if not found:
            raise errors.BuildFailed(f"{self.own_base}: pushed, and not there", "inv registry.up")
        return found

    @property
    def own_base(self) -> str:
        """The name of the base image built here for a deploy.toml without one."""
        return f"{self.project.image.repository}-base:{base.recipe('base', self.project.gates.node)}"

    def find_base(self) -> str:
        """Return the base image by digest: the configured one, or the registry's; empty if it has none yet."""
        image = self.project.image
        if image.base:
            self.refuse_unfit_base()
            return image.base
        reference = registry.Reference.parse(f"{image.repository}-base")
        found = registry.connect(reference, insecure=image.insecure).manifest(self.own_base.rpartition(":")[2])
        return f"{image.repository}-base@{found[0].digest}" if found else ""

    def push(self, gated: receipt.GatedTree, *, again: bool = False) -> registry.Image:
        """Build the image of GATED, and return it as the registry has it; AGAIN sets another tag and no cache.

        The copied folders have names unique to their content (`builders.context` explains the reason).

        Raises:
            errors.TreeChanged: the files differ from the ones that the gates left, or changed during the build.
            errors.ImageMismatch: the registry has another image than the builder reports.
        """
        tag = self.tag(gated)
        tree.hide(self.project.work)
        with tree.scratch(self.project.work, "pack", linger=True) as scratch:
            return self._push(gated, scratch, f"again-{tag}" if again else tag, cached=not again)

    def _push(self, gated: receipt.GatedTree, scratch: Path, tag: str, *, cached: bool) -> registry.Image:
        reference = f"{self.project.image.repository}:{tag}"
        base_image = self.base() if builders.wants_base(self.project) else ""
        builder, dockerfile = self.builder(base_image), self._dockerfile
        layered = not builder.own_files and context.takes_layers(dockerfile)
        # BuildKit keeps a context by the name of its folder: the next build sends only files that differ.
        folder = scratch / (context.name(self.project.image.repository, self.project.work) if cached else scratch.name)
        packed = packing.pack(
            gated.ship, gated.root, folder, self.revision.epoch, whole="" if layered else self.tag(gated)
        )
        if packed.digest != gated.digest:
            raise errors.TreeChanged(f"{gated.ship}: not what the gates left", "run them again: inv gates --fresh")
        if layered:
            dockerfile = context.write_layered(dockerfile, packed.folders, scratch)
            builder = self.builder(base_image, dockerfile)
        created = datetime.datetime.fromtimestamp(self.revision.epoch, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        labels = inspection.labels(self.revision, gated.ship, gated.digest) | {inspection.CREATED: created}
        if base_image:
            labels[inspection.BASE] = base_image
        if builder.own_files or self._dockerfile.read_bytes() != shipped.own(DOCKERFILE).read_bytes():
            del labels[inspection.TREE]  # an image with this label is not read file by file
        root = packed.context if layered else packed.context / packed.folders[0]
        told = builder.push(root, reference, labels, self.revision.epoch, cached=cached)
        if not packed.is_unchanged():
            raise errors.TreeChanged(f"{gated.ship}: changed while it was packed", "run it again: inv gates --fresh")
        found = self.store.image(tag)
        if found is None:
            raise errors.BuildFailed(f"{reference}: pushed, and not there", "see the registry's log")
        if found.digest != told:
            raise errors.ImageMismatch(
                f"{reference}: the builder pushed {told}, the registry has {found.digest}",
                "somebody else pushed there meanwhile, or the builder tells of another image; build it again",
            )
        if absent := self.store.absent(found.digest):
            raise refusal.lost(f"{reference}: {', '.join(absent)}")
        return found

    def build_again(self, gated: receipt.GatedTree, image: registry.Image) -> None:
        """Build GATED again, without a cache and in another folder; raise unless this gives IMAGE, bit for bit.

        Raises:
            errors.NotReproducible: it gives another image; the message names the first layer and file that differ.
        """
        again = self.push(gated, again=True)
        if again.digest != image.digest:
            raise errors.NotReproducible(
                f"first {image.digest}, then {again.digest}: {difference.first(self.store, image, again)}",
                "docs/builders.md says what can differ, and why",
            )

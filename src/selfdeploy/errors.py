"""What can go wrong: one class, one cause, one exit code.

The codes are an interface; `docs/operations.md` lists them, and a test holds both to the same table.
"""

import errno


class SelfdeployError(Exception):
    """Something the operator can act on: what is wrong and where, and as `hint` what to do next."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigInvalid(SelfdeployError):
    """deploy.toml, or a value that overrides it, is not what it must be."""

    exit_code = 10


class SourceUnusable(SelfdeployError):
    """The source is no git checkout, or holds what an export cannot carry."""

    exit_code = 11


class CheckoutDirty(SelfdeployError):
    """The checkout has changes that no revision names."""

    exit_code = 12


class ToolMissing(SelfdeployError):
    """A program this needs is not installed."""

    exit_code = 13


class CommandFailed(SelfdeployError):
    """A program this called ended with an error that has no class of its own."""

    exit_code = 14


class CommandTimedOut(SelfdeployError):
    """A program this called did not end within its deadline, and was ended."""

    exit_code = 15


class NotConverged(SelfdeployError):
    """A stage was made, and looking again its result is still not there."""

    exit_code = 16


class FileUnusable(SelfdeployError):
    """A file or folder of this machine cannot be read or written."""

    exit_code = 17


class FileDiffers(SelfdeployError):
    """A file that `inv init` would write is there, and is another; it was left as it is, and the others written."""

    exit_code = 18


class FolderForeign(SelfdeployError):
    """The folder that `inv render` would fill holds what it did not write; nothing was written."""

    exit_code = 19


class GateFailed(SelfdeployError):
    """A gate ran and did not pass, or passed without running a test."""

    exit_code = 20


class GatesIncomplete(SelfdeployError):
    """A required gate is missing, was skipped, or ran on another revision."""

    exit_code = 21


class TreeChanged(SelfdeployError):
    """The gated tree is not what the gates left, or holds links that must not ship."""

    exit_code = 22


class NotReproducible(SelfdeployError):
    """One gated tree, built twice, made two images."""

    exit_code = 23


class RegistryUnreachable(SelfdeployError):
    """The registry does not answer."""

    exit_code = 30


class RegistryDenied(SelfdeployError):
    """The registry refuses our credentials, or what they may do."""

    exit_code = 31


class BuildFailed(SelfdeployError):
    """The image could not be built or pushed."""

    exit_code = 32


class ImageMismatch(SelfdeployError):
    """The image in the registry is not the one that was asked for."""

    exit_code = 33


class ManifestInvalid(SelfdeployError):
    """A release manifest is malformed, or is not the one its digest names."""

    exit_code = 34


class RecordInvalid(SelfdeployError):
    """A record in the registry or on an environment is damaged or was changed."""

    exit_code = 35


class NotReleased(SelfdeployError):
    """The registry has no release of that revision or digest on record."""

    exit_code = 36


class RegistryUntrusted(SelfdeployError):
    """The registry cannot prove who it is, or leads to where credentials must not go."""

    exit_code = 37


class RegistryInvalid(SelfdeployError):
    """What answers is no registry, or it answers what it must not: another digest, size or shape."""

    exit_code = 38


class ImageGone(SelfdeployError):
    """The image of a release is not where it has to be, in the registry or on the runtime, or not whole."""

    exit_code = 39


class EngineUnreachable(SelfdeployError):
    """The Docker engine does not answer."""

    exit_code = 40


class PortTaken(SelfdeployError):
    """A port that an environment publishes is held by something else."""

    exit_code = 41


class DiskFull(SelfdeployError):
    """There is not enough space left to finish."""

    exit_code = 42


class LockHeld(SelfdeployError):
    """Another release holds the environment."""

    exit_code = 43


class LockLost(SelfdeployError):
    """The environment's lock went away while it was held; nothing further was changed."""

    exit_code = 44


class OnHold(SelfdeployError):
    """This digest failed here before, and was put on hold."""

    exit_code = 45


class ReleaseOlder(SelfdeployError):
    """The revision is an ancestor of what the environment runs."""

    exit_code = 46


class AuthorityRefused(SelfdeployError):
    """The release was not built where the configuration demands."""

    exit_code = 47


class BuilderUnready(SelfdeployError):
    """What builds the image is not installed, does not answer, or may not build."""

    exit_code = 48


class NotProven(SelfdeployError):
    """What answers is not the release: the witnesses disagree, or nobody answers."""

    exit_code = 50


class PutBack(SelfdeployError):
    """The rollout failed; what the environment proved before is back, and proven."""

    exit_code = 51


class PutBackUnproven(SelfdeployError):
    """The rollout failed, and what was put back does not prove itself."""

    exit_code = 52


class WentDown(SelfdeployError):
    """The rollout failed and the environment had proven nothing before, so it is down."""

    exit_code = 53


class NothingToRollBack(SelfdeployError):
    """The environment has proven no other release."""

    exit_code = 54


class BuildStale(SelfdeployError):
    """What SF's checkout has in dist/ is missing, or was not built from its files as they are now."""

    exit_code = 60


class MountRefused(SelfdeployError):
    """A folder that vega would mount is not there, or does not fit the others."""

    exit_code = 61


class BindRefused(SelfdeployError):
    """The address is not this host's, or more people reach it than may."""

    exit_code = 62


class EngineElsewhere(SelfdeployError):
    """The engine runs on another host, which has none of this one's folders."""

    exit_code = 63


class NotRunning(SelfdeployError):
    """There is no vega server."""

    exit_code = 64


class ContainerForeign(SelfdeployError):
    """A container has vega's name and is none of it."""

    exit_code = 65


class ClusterUnreachable(SelfdeployError):
    """The Kubernetes API server does not answer, or what answers is none."""

    exit_code = 70


class ClusterDenied(SelfdeployError):
    """The Kubernetes API server refuses the credential, or it has expired."""

    exit_code = 71


class ClusterForbidden(SelfdeployError):
    """The credential may not do, in that namespace, what this needs."""

    exit_code = 72


class NamespaceMissing(SelfdeployError):
    """The namespace does not exist, or is being deleted."""

    exit_code = 73


class FieldConflict(SelfdeployError):
    """Another manager has set what a release would set; it was not forced."""

    exit_code = 74


class ObjectRefused(SelfdeployError):
    """The cluster's schema, quota or admission refuses an object."""

    exit_code = 75


class DeploymentPaused(SelfdeployError):
    """Somebody has paused the Deployment, so that nothing rolls."""

    exit_code = 76


class ReplicaFailed(SelfdeployError):
    """A replica does not come up: what runs in it ends, or is never ready."""

    exit_code = 77


class ReplicaHeldUp(SelfdeployError):
    """A replica is kept from starting (no image, room, volume, quota or setting for it), or does not go when told."""

    exit_code = 78


class Interrupted(SelfdeployError):
    """Ctrl-C, or the job was cancelled."""

    exit_code = 130


def unusable(exc: OSError) -> SelfdeployError:
    """Return EXC, what the system says of a file or disk, as an error of ours; raise it where it is of neither."""
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"{exc.filename or 'a file of this command'}: {exc.strerror}", "make room: docker system df")
    if exc.filename is None:
        raise exc
    return FileUnusable(f"{exc.filename}: {exc.strerror}", "mend the file or folder, then run it again")


def of_code(code: int, other: type[SelfdeployError]) -> type[SelfdeployError]:
    """Return the class of errors that has the exit code CODE; OTHER where none has."""
    return {kind.exit_code: kind for kind in SelfdeployError.__subclasses__()}.get(code, other)

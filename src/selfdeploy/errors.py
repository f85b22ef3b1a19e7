"""What can go wrong: one class, one cause, one exit code.

The codes are an interface; `docs/operations.md` lists them, and a test holds both to the same table.
"""

import errno
from typing import ClassVar


class SelfdeployError(Exception):
    """Something the operator can act on: what is wrong and where, and as `hint` what to do next."""

    exit_code: ClassVar[int]

    def __init_subclass__(cls, *, exit_code: int) -> None:
        super().__init_subclass__()
        cls.exit_code = exit_code

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigInvalid(SelfdeployError, exit_code=10):
    """deploy.toml, or a value that overrides it, is not what it must be."""


class SourceUnusable(SelfdeployError, exit_code=11):
    """The source is no git checkout, or holds what an export cannot carry."""


class CheckoutDirty(SelfdeployError, exit_code=12):
    """The checkout has changes that no revision names."""


class ToolMissing(SelfdeployError, exit_code=13):
    """A program this needs is not installed."""


class CommandFailed(SelfdeployError, exit_code=14):
    """A program this called ended with an error that has no class of its own."""


class CommandTimedOut(SelfdeployError, exit_code=15):
    """A program this called did not end within its deadline, and was ended."""


class NotConverged(SelfdeployError, exit_code=16):
    """A stage was made, and looking again its result is still not there."""


class FileUnusable(SelfdeployError, exit_code=17):
    """A file or folder of this machine cannot be read or written."""


class FileDiffers(SelfdeployError, exit_code=18):
    """A file that `inv init` would write is there, and is another; it was left as it is, and the others written."""


class FolderForeign(SelfdeployError, exit_code=19):
    """The folder that `inv render` would fill holds what it did not write; nothing was written."""


class GateFailed(SelfdeployError, exit_code=20):
    """A gate ran and did not pass, or passed without running a test."""


class GatesIncomplete(SelfdeployError, exit_code=21):
    """A required gate is missing, was skipped, or ran on another revision."""


class TreeChanged(SelfdeployError, exit_code=22):
    """The gated tree is not what the gates left, or holds links that must not ship."""


class NotReproducible(SelfdeployError, exit_code=23):
    """One gated tree, built twice, made two images."""


class CountUnreadable(SelfdeployError, exit_code=24):
    """A test gate ended well, and how many tests it ran cannot be read from its log."""


class ScriptsBlocked(SelfdeployError, exit_code=25):
    """A gate passed, but npm did not run the install scripts of some packages."""


class ContentsIncomplete(SelfdeployError, exit_code=26):
    """What ships lacks a package of the lock file, what the image starts, or a native module that loads."""


class StartFailed(SelfdeployError, exit_code=27):
    """The server does not start from what ships: it ends, or does not answer in time."""


class PushRefused(SelfdeployError, exit_code=28):
    """The registry does not take a push: no such repository, a tag that must stay as it is, too large, read-only."""


class PushLost(SelfdeployError, exit_code=29):
    """The registry confirmed a push, and does not give back what was pushed."""


class RegistryUnreachable(SelfdeployError, exit_code=30):
    """The registry does not answer, or its rate limit did not end within the deadline."""


class RegistryDenied(SelfdeployError, exit_code=31):
    """The registry refuses our credentials, or what they may do."""


class BuildFailed(SelfdeployError, exit_code=32):
    """The image could not be built or pushed."""


class ImageMismatch(SelfdeployError, exit_code=33):
    """The image in the registry is not the one that was asked for."""


class ManifestInvalid(SelfdeployError, exit_code=34):
    """A release manifest is malformed, or is not the one its digest names."""


class RecordInvalid(SelfdeployError, exit_code=35):
    """A record in the registry or on an environment is damaged or was changed."""


class NotReleased(SelfdeployError, exit_code=36):
    """The registry has no release of that revision or digest on record."""


class RegistryUntrusted(SelfdeployError, exit_code=37):
    """The registry cannot prove who it is, or leads to where credentials must not go."""


class RegistryInvalid(SelfdeployError, exit_code=38):
    """What answers is no registry, or it answers what it must not: another digest, size or shape."""


class ImageGone(SelfdeployError, exit_code=39):
    """The image of a release is not where it has to be, in the registry or on the runtime, or not whole."""


class EngineUnreachable(SelfdeployError, exit_code=40):
    """The Docker engine does not answer."""


class PortTaken(SelfdeployError, exit_code=41):
    """A port that an environment publishes is held by something else."""


class DiskFull(SelfdeployError, exit_code=42):
    """There is not enough space left to finish."""


class LockHeld(SelfdeployError, exit_code=43):
    """Another release holds the environment."""


class LockLost(SelfdeployError, exit_code=44):
    """The environment's lock went away while it was held; nothing further was changed."""


class OnHold(SelfdeployError, exit_code=45):
    """This digest failed here before, and was put on hold."""


class ReleaseOlder(SelfdeployError, exit_code=46):
    """The revision is an ancestor of what the environment runs."""


class AuthorityRefused(SelfdeployError, exit_code=47):
    """The release was not built where the configuration demands."""


class BuilderUnready(SelfdeployError, exit_code=48):
    """What builds the image is not installed, does not answer, or may not build."""


class NotProven(SelfdeployError, exit_code=50):
    """What answers is not the release: the witnesses disagree, or nobody answers."""


class PutBack(SelfdeployError, exit_code=51):
    """The rollout failed; what the environment proved before is back, and proven."""


class PutBackUnproven(SelfdeployError, exit_code=52):
    """The rollout failed, and what was put back does not prove itself."""


class WentDown(SelfdeployError, exit_code=53):
    """The rollout failed and the environment had proven nothing before, so it is down."""


class NothingToRollBack(SelfdeployError, exit_code=54):
    """The environment has proven no other release."""


class BuildStale(SelfdeployError, exit_code=60):
    """What SF's checkout has in dist/ is missing, or was not built from its files as they are now."""


class MountRefused(SelfdeployError, exit_code=61):
    """A folder that vega would mount is not there, or does not fit the others."""


class BindRefused(SelfdeployError, exit_code=62):
    """The address is not this host's, or more people reach it than may."""


class EngineElsewhere(SelfdeployError, exit_code=63):
    """The engine runs on another host, which has none of this one's folders."""


class NotRunning(SelfdeployError, exit_code=64):
    """There is no vega server."""


class ContainerForeign(SelfdeployError, exit_code=65):
    """A container has vega's name and is none of it."""


class ClusterUnreachable(SelfdeployError, exit_code=70):
    """The Kubernetes API server does not answer, or what answers is none."""


class ClusterDenied(SelfdeployError, exit_code=71):
    """The Kubernetes API server refuses the credential, or it has expired."""


class ClusterForbidden(SelfdeployError, exit_code=72):
    """The credential may not do, in that namespace, what this needs."""


class NamespaceMissing(SelfdeployError, exit_code=73):
    """The namespace does not exist, or is being deleted."""


class FieldConflict(SelfdeployError, exit_code=74):
    """Another manager has set what a release would set; it was not forced."""


class ObjectRefused(SelfdeployError, exit_code=75):
    """The cluster's schema, quota or admission refuses an object."""


class DeploymentPaused(SelfdeployError, exit_code=76):
    """Somebody has paused the Deployment, so that nothing rolls."""


class ReplicaFailed(SelfdeployError, exit_code=77):
    """A replica does not come up: what runs in it ends, or is never ready."""


class ReplicaHeldUp(SelfdeployError, exit_code=78):
    """A replica is kept from starting (no image, room, volume, quota or setting for it), or does not go when told."""


class ContractBroken(SelfdeployError, exit_code=90):
    """SF does not keep a clause of the contract."""


class Declined(SelfdeployError, exit_code=92):
    """The question that a command asked on the terminal was not answered with yes; nothing was changed."""


class Interrupted(SelfdeployError, exit_code=130):
    """Ctrl-C, or the job was cancelled."""


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

"""What can go wrong: one class, one cause, one exit code.

The codes are an interface; `docs/operations.md` lists them, and a test holds both to the same table.
"""

import errno
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import pydantic  # start-up is a feature


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
    """deploy.toml, or a value that overrides it, is invalid."""


class SourceUnusable(SelfdeployError, exit_code=11):
    """The source is not a git checkout, or has content that an export cannot carry."""


class CheckoutDirty(SelfdeployError, exit_code=12):
    """The checkout has uncommitted changes."""


class ToolMissing(SelfdeployError, exit_code=13):
    """A required program is not installed."""


class CommandFailed(SelfdeployError, exit_code=14):
    """A program failed, with an error that has no code of its own."""


class CommandTimedOut(SelfdeployError, exit_code=15):
    """A program did not end within its deadline, and was stopped."""


class NotConverged(SelfdeployError, exit_code=16):
    """A stage ran, and its result is still missing."""


class FileUnusable(SelfdeployError, exit_code=17):
    """A file or folder of this machine cannot be read or written."""


class FileDiffers(SelfdeployError, exit_code=18):
    """A file that `inv init` would write exists with other content; it was kept, and the others were written."""


class FolderForeign(SelfdeployError, exit_code=19):
    """The folder for `inv render` has files of other origin; nothing was written."""


class GateFailed(SelfdeployError, exit_code=20):
    """A gate ran and did not pass, or passed without running a test."""


class GatesIncomplete(SelfdeployError, exit_code=21):
    """A required gate is missing, was skipped, or ran on another revision."""


class TreeChanged(SelfdeployError, exit_code=22):
    """The gated tree has changed since the gates, or has links that must not ship."""


class NotReproducible(SelfdeployError, exit_code=23):
    """One gated tree, built twice, made two images."""


class CountUnreadable(SelfdeployError, exit_code=24):
    """A test gate passed, but its log does not tell the number of tests."""


class ScriptsBlocked(SelfdeployError, exit_code=25):
    """A gate passed, but npm did not run the install scripts of some packages."""


class ContentsIncomplete(SelfdeployError, exit_code=26):
    """The shipped files lack a package of the lock file, the start command's file, or a native module that loads."""


class StartFailed(SelfdeployError, exit_code=27):
    """The server does not start from the shipped files: it ends, or does not answer in time."""


class PushRefused(SelfdeployError, exit_code=28):
    """The registry does not take a push: no such repository, a tag that must stay as it is, too large, read-only."""


class PushLost(SelfdeployError, exit_code=29):
    """The registry confirmed a push, and does not return the pushed content."""


class RegistryUnreachable(SelfdeployError, exit_code=30):
    """The registry does not answer, or its rate limit did not end within the deadline."""


class RegistryDenied(SelfdeployError, exit_code=31):
    """The registry refuses our credentials, or they lack a right."""


class BuildFailed(SelfdeployError, exit_code=32):
    """The image could not be built or pushed."""


class ImageMismatch(SelfdeployError, exit_code=33):
    """The image in the registry is not the expected one."""


class ManifestInvalid(SelfdeployError, exit_code=34):
    """A release manifest is malformed, or is not the one its digest names."""


class RecordInvalid(SelfdeployError, exit_code=35):
    """A record in the registry, on an environment or in a bundle is damaged or was changed."""


class NotReleased(SelfdeployError, exit_code=36):
    """The registry has no release of that revision or digest on record."""


class RegistryUntrusted(SelfdeployError, exit_code=37):
    """The registry cannot prove its identity, or redirects to a host that must not get credentials."""


class RegistryInvalid(SelfdeployError, exit_code=38):
    """The host is not an OCI registry, or its answer is invalid: another digest, size or shape."""


class ImageGone(SelfdeployError, exit_code=39):
    """The image of a release is missing or incomplete, in the registry or on the runtime."""


class EngineUnreachable(SelfdeployError, exit_code=40):
    """The Docker engine does not answer."""


class PortTaken(SelfdeployError, exit_code=41):
    """A port that an environment publishes is in use."""


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
    """The release was not built by the configured authority."""


class BuilderUnready(SelfdeployError, exit_code=48):
    """The image builder is not installed, does not answer, or may not build."""


class Unsigned(SelfdeployError, exit_code=49):
    """No key that the environment trusts has signed the release."""


class NotProven(SelfdeployError, exit_code=50):
    """The environment does not prove the release: the witnesses disagree, or nothing answers."""


class PutBack(SelfdeployError, exit_code=51):
    """The rollout failed; the release proven before is back, and proven again."""


class PutBackUnproven(SelfdeployError, exit_code=52):
    """The rollout failed, and the release put back is not proven."""


class WentDown(SelfdeployError, exit_code=53):
    """The rollout failed and the environment had proven nothing before, so it is down."""


class NothingToRollBack(SelfdeployError, exit_code=54):
    """The environment has proven no other release."""


class SignatureInvalid(SelfdeployError, exit_code=55):
    """A signature of the release is not its key's, or it signs another release."""


class KeyUnusable(SelfdeployError, exit_code=56):
    """A key cannot be read, or cannot sign."""


class HistoryBroken(SelfdeployError, exit_code=57):
    """An entry of an environment's history was changed, removed or put in between."""


class PackagesUnsigned(SelfdeployError, exit_code=58):
    """An installed npm package has no valid signature of its registry, which offers keys."""


class SignaturesUnknown(SelfdeployError, exit_code=59):
    """npm could not check the signatures of the installed packages."""


class BuildStale(SelfdeployError, exit_code=60):
    """dist/ of SF's checkout is missing, or was built from other files than it has now."""


class MountRefused(SelfdeployError, exit_code=61):
    """A folder to be mounted by vega is missing, or does not fit the others."""


class BindRefused(SelfdeployError, exit_code=62):
    """The address is not this host's, or more people reach it than may."""


class EngineElsewhere(SelfdeployError, exit_code=63):
    """The engine runs on another host, without this host's folders."""


class NotRunning(SelfdeployError, exit_code=64):
    """There is no vega server."""


class ContainerForeign(SelfdeployError, exit_code=65):
    """A container that is not vega's has its name."""


class SbomUnusable(SelfdeployError, exit_code=67):
    """There is no SBOM of the release: npm cannot list its packages, or it is neither gated here nor signed."""


class ClusterUnreachable(SelfdeployError, exit_code=70):
    """The Kubernetes API server does not answer, or another program answers."""


class ClusterDenied(SelfdeployError, exit_code=71):
    """The Kubernetes API server refuses the credential, or it has expired."""


class ClusterForbidden(SelfdeployError, exit_code=72):
    """The credential lacks a right in that namespace."""


class NamespaceMissing(SelfdeployError, exit_code=73):
    """The namespace does not exist, or is being deleted."""


class FieldConflict(SelfdeployError, exit_code=74):
    """Another manager owns a field that the release sets; it was not forced."""


class ObjectRefused(SelfdeployError, exit_code=75):
    """The cluster's schema, quota or admission refuses an object."""


class DeploymentPaused(SelfdeployError, exit_code=76):
    """The Deployment is paused, so nothing rolls."""


class ReplicaFailed(SelfdeployError, exit_code=77):
    """A replica does not come up: its process ends, or never gets ready."""


class ReplicaHeldUp(SelfdeployError, exit_code=78):
    """A replica is kept from starting (no image, room, volume, quota or setting for it), or does not go when told."""


class ContractBroken(SelfdeployError, exit_code=90):
    """SF does not keep a clause of the contract."""


class Declined(SelfdeployError, exit_code=92):
    """The question on the terminal was not answered with yes; nothing was changed."""


class Interrupted(SelfdeployError, exit_code=130):
    """Ctrl-C, or the job was cancelled."""


def unusable(exc: OSError) -> SelfdeployError:
    """Return EXC, a system error about a file or a disk, as an error of ours; raise any other EXC."""
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"{exc.filename or 'a file of this command'}: {exc.strerror}", "make room: docker system df")
    if exc.filename is None:
        raise exc
    return FileUnusable(f"{exc.filename}: {exc.strerror}", "fix the file or folder, and run the command again")


def complaint(exc: "pydantic.ValidationError", whole: str = "") -> str:
    """Return the first complaint of EXC in one line, with its place; WHOLE is the place of one about all of it."""
    first = exc.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"])) or whole
    return ": ".join(filter(None, (place, first["msg"].removeprefix("Value error, "))))


def of_code(code: int, other: type[SelfdeployError]) -> type[SelfdeployError]:
    """Return the error class with the exit code CODE, or OTHER."""
    return {kind.exit_code: kind for kind in SelfdeployError.__subclasses__()}.get(code, other)

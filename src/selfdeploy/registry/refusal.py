"""Errors for a registry's refusals: one for each HTTP status, with a hint."""

import json
from collections.abc import Iterator
from http import HTTPStatus

from selfdeploy import errors
from selfdeploy.registry.connections import Answer

BODY = 1 << 16
"""Bytes of an answer's body to search for error codes."""
DAMAGED = "the registry or a proxy before it is damaged: push again, or see its log"
RESTART = (
    "a registry that caches what it stores may still believe in what a clean-up deleted: restart the registry, then "
    "run the command again"
)
"""Hint for a lost push."""
AGAIN = "build and push it again: inv release --fresh"
IMMUTABLE = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED})
"""Statuses of registries that do not let a tag be overwritten (Amazon ECR, Docker Hub, Harbor, Azure)."""
MALFORMED = frozenset({"MANIFEST_INVALID", "MANIFEST_UNVERIFIED", "NAME_INVALID", "TAG_INVALID", "UNSUPPORTED"})
UNKNOWN = frozenset({"BLOB_UNKNOWN", "MANIFEST_BLOB_UNKNOWN"})
TROUBLE: dict[int, str] = {
    HTTPStatus.NOT_IMPLEMENTED: "it does not support this; see image.repository in deploy.toml",
    HTTPStatus.BAD_GATEWAY: "a proxy before it cannot reach it; start the registry, then run the command again",
    HTTPStatus.SERVICE_UNAVAILABLE: "it is overloaded or down for maintenance; run the command again later",
    HTTPStatus.GATEWAY_TIMEOUT: "a proxy before it waited in vain; see the registry's log",
    HTTPStatus.INSUFFICIENT_STORAGE: "its storage is full; free some there, then run the command again",
}
"""Hints for 5xx answers."""


def _phrase(status: int) -> str:
    """Return STATUS's phrase in brackets; empty if it has none."""
    try:
        return f" ({HTTPStatus(status).phrase})"
    except ValueError:
        return ""


def trouble(host: str, method: str, status: int) -> errors.RegistryUnreachable:
    """Return the error for a 5xx answer of HOST to METHOD."""
    hint = TROUBLE.get(status, "see its log")
    return errors.RegistryUnreachable(f"{host}: the registry answers {status} to {method}{_phrase(status)}", hint)


def limited(host: str, method: str, asked: float | None, limit: float) -> errors.RegistryUnreachable:
    """Return the error for a rate limit (429) that outlasts the deadline.

    ASKED, its Retry-After, and LIMIT, the deadline, are in seconds.
    """
    wanted = f"it asks to wait {asked:g} s" if asked else "it does not say for how long"
    return errors.RegistryUnreachable(
        f"{host}: rate limit: the registry answers 429 Too Many Requests to {method}; {wanted}, the deadline is "
        f"{limit:g} s",
        f"run the command again later, or raise the limit there; with docker login {host} it is often higher",
    )


def read(where: str, answer: Answer, host: str) -> errors.SelfdeployError:
    """Return the error for WHERE, a manifest or a blob, if ANSWER has another status than 200."""
    status = answer.status
    if status == HTTPStatus.NOT_FOUND:
        return errors.ImageGone(f"{where}: the registry does not have it", AGAIN)
    if status in {HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE}:
        hint = f"see image.repository in deploy.toml: is {host} an OCI registry?"
    elif status == HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS:
        hint = f"ask who runs {host}"
    else:
        hint = DAMAGED
    return errors.RegistryInvalid(f"{where}: expected HTTP 200, actual {status}{_phrase(status)}", hint)


def upload(repository: str, answer: Answer, what: str) -> errors.SelfdeployError:
    """Return the error if REPOSITORY refuses WHAT, a blob or the beginning of its upload."""
    codes = _codes(answer)
    if answer.status == HTTPStatus.NOT_FOUND and "BLOB_UPLOAD_UNKNOWN" in codes:
        return errors.PushRefused(
            f"{repository}: the registry forgot the upload of {what} half-way",
            "run the command again; replicas of one registry need the same storage and the same http.secret",
        )
    if answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return errors.RegistryInvalid(f"{repository}: upload: expected HTTP 202, actual {answer.status}", DAMAGED)
    return _common(repository, answer, what) or errors.PushRefused(
        f"{repository}: the registry answers {answer.status}{_phrase(answer.status)} to the upload of {what}",
        "see its log",
    )


def manifest(repository: str, answer: Answer, name: str, *, exists: bool) -> errors.SelfdeployError:
    """Return the error if REPOSITORY refuses a manifest under NAME, a tag or a digest.

    EXISTS is True if NAME has another manifest. It decides, since the status alone does not distinguish a tag that must
    stay (400 TAG_INVALID at Amazon ECR) from a manifest of an unknown kind (400 MANIFEST_INVALID).
    """
    where = f"{repository}{'@' if name.startswith('sha256:') else ':'}{name}"
    codes, status = _codes(answer), answer.status
    if codes & UNKNOWN:
        return errors.PushLost(f"{where}: the registry lacks a part of it, which was pushed before", RESTART)
    malformed = status == HTTPStatus.BAD_REQUEST and codes & MALFORMED and not exists
    if status in IMMUTABLE and not name.startswith("sha256:") and not malformed:
        return errors.PushRefused(
            f"{where}: this tag may not be overwritten there (HTTP {status})",
            f"let tags of {repository} be overwritten, or delete that tag in the registry; then run the command again",
        )
    if codes & MALFORMED:
        listed = ", ".join(sorted(codes & MALFORMED))
        return errors.PushRefused(
            f"{where}: the registry does not accept this kind of manifest (HTTP {status}, {listed})",
            "it has to take OCI image manifests and indexes",
        )
    return _common(repository, answer, where) or errors.PushRefused(
        f"{where}: the registry answers {status}{_phrase(status)} to the push", "see its log"
    )


def lost(where: str) -> errors.PushLost:
    """Return the error for WHERE, a blob or a manifest that was pushed and cannot be read back."""
    return errors.PushLost(f"{where}: the registry confirmed the push, and does not give it back", RESTART)


def _common(repository: str, answer: Answer, what: str) -> errors.SelfdeployError | None:
    match answer.status:
        case HTTPStatus.NOT_FOUND:
            return errors.PushRefused(
                f"{repository}: the registry has no such repository (HTTP 404 to a push)",
                f"create {repository.partition('/')[2]} in the registry, or let pushes create it",
            )
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return errors.PushRefused(
                f"{repository}: the registry takes no pushes (HTTP 405)",
                "it is read-only, or a mirror of another one: name that in image.repository",
            )
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return errors.PushRefused(
                f"{what}: too large for the registry, or for a proxy before it (HTTP 413)",
                "raise the limit of a request's body there (nginx: client_max_body_size)",
            )
    if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
        return errors.PushRefused(
            f"{repository}: the registry leads a push elsewhere (HTTP {answer.status})",
            "name in image.repository the host that it leads to",
        )
    return None


def _codes(answer: Answer) -> set[str]:
    """Return the error codes in ANSWER's body; its texts are never shown, since they may repeat our request."""
    try:
        found = json.loads(_beginning(answer.chunks))["errors"]
        return {str(each["code"]) for each in found}
    except (ValueError, TypeError, KeyError, RecursionError, errors.SelfdeployError):
        return set()


def _beginning(chunks: Iterator[bytes]) -> bytes:
    data = bytearray()
    for chunk in chunks:
        data += chunk
        if len(data) > BODY:
            break
    return bytes(data)

"""Why a registry did not do what it was asked: the error of each HTTP status, with the way on."""

import json
from collections.abc import Iterator
from http import HTTPStatus

from selfdeploy import errors
from selfdeploy.registry.connections import Answer

BODY = 1 << 16
"""Bytes of an answer's body that are searched for an error code."""
DAMAGED = "the registry or a proxy before it is damaged: push again, or see its log"
RESTART = (
    "a registry that caches what it stores may still believe in what a clean-up deleted: restart the registry, then "
    "run the command again"
)
"""What to do about a push that is lost."""
AGAIN = "build and push it again: inv release --fresh"
IMMUTABLE = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED})
"""What registries answer to a push to a tag that must stay as it is (Amazon ECR, Docker Hub, Harbor, Azure)."""
MALFORMED = frozenset({"MANIFEST_INVALID", "MANIFEST_UNVERIFIED", "NAME_INVALID", "TAG_INVALID", "UNSUPPORTED"})
UNKNOWN = frozenset({"BLOB_UNKNOWN", "MANIFEST_BLOB_UNKNOWN"})
TROUBLE: dict[int, str] = {
    HTTPStatus.NOT_IMPLEMENTED: "it does not support this; see image.repository in deploy.toml",
    HTTPStatus.BAD_GATEWAY: "a proxy before it cannot reach it; start the registry, then run the command again",
    HTTPStatus.SERVICE_UNAVAILABLE: "it is overloaded or down for maintenance; run the command again later",
    HTTPStatus.GATEWAY_TIMEOUT: "a proxy before it waited in vain; see the registry's log",
    HTTPStatus.INSUFFICIENT_STORAGE: "its storage is full; free some there, then run the command again",
}
"""What to do about an answer of 5xx."""


def _phrase(status: int) -> str:
    """Return the name of STATUS in brackets; empty if it has none."""
    try:
        return f" ({HTTPStatus(status).phrase})"
    except ValueError:
        return ""


def trouble(host: str, method: str, status: int) -> errors.RegistryUnreachable:
    """Return the error of a 5xx."""
    hint = TROUBLE.get(status, "see its log")
    return errors.RegistryUnreachable(f"{host}: the registry answers {status} to {method}{_phrase(status)}", hint)


def limited(host: str, method: str, asked: float | None, limit: float) -> errors.RegistryUnreachable:
    """Return the error of a rate limit (429) that does not end within the deadline; ASKED is its Retry-After."""
    wanted = f"it asks to wait {asked:g} s" if asked else "it does not say for how long"
    return errors.RegistryUnreachable(
        f"{host}: rate limit: the registry answers 429 Too Many Requests to {method}; {wanted}, the deadline is "
        f"{limit:g} s",
        f"run the command again later, or raise the limit there; with docker login {host} it is often higher",
    )


def read(where: str, answer: Answer, host: str) -> errors.SelfdeployError:
    """Return why WHERE, a manifest or a blob, was not given: ANSWER has another status than 200."""
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
    """Return why REPOSITORY did not take WHAT, a blob or the beginning of its upload."""
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
    """Return why REPOSITORY did not take a manifest under NAME, a tag or a digest; EXISTS says if it holds another.

    The status alone cannot tell a tag that must stay (400 TAG_INVALID at Amazon ECR) from a manifest of an unknown
    kind (400 MANIFEST_INVALID): it counts whether there is a tag to overwrite.
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
    """Return the error of WHERE, a blob or a manifest that was pushed and cannot be read back."""
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
    """Return the error codes in the body of ANSWER; its texts are never shown: they may repeat what we sent."""
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

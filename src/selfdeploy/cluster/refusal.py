"""Errors for the refusals of the API server and of the kubectl before it: one class for each cause."""

import re
from collections.abc import Mapping
from http.client import FORBIDDEN, INTERNAL_SERVER_ERROR, NOT_FOUND, TOO_MANY_REQUESTS, UNAUTHORIZED
from typing import Any

from selfdeploy import errors

RBAC = re.compile(r'User "([^"]*)" cannot (\S+) resource "([^"]*)"')
"""A denial by RBAC; all other 403s come from admission."""

PROXIES = ("pods/proxy", "services/proxy")
"""RBAC's resource names for the API server's proxy to a server."""

WEBHOOK = "failed calling webhook"
"""Part of an API server's message if an admission webhook does not answer it."""

LOGIN = ("getting credentials", "exec plugin", "refresh token", "oauth2", "certificate has expired")
"""Parts of kubectl's messages if it could not log in."""


def unreachable(name: str, why: str) -> errors.ClusterUnreachable:
    """Return the error for a cluster of the environment NAME that does not answer; WHY is the reason."""
    return errors.ClusterUnreachable(
        f"{name}: the Kubernetes API server does not answer: {why}",
        f"see that it runs and that environments.{name}.context of deploy.toml names it; then run this again",
    )


def foreign(name: str, what: str) -> errors.ClusterUnreachable:
    """Return the error for an answer from no Kubernetes API; NAME is the environment, WHAT describes the answer."""
    return errors.ClusterUnreachable(
        f"{name}: what answers is no Kubernetes API server, or not all there: it answers {what}",
        f"see what environments.{name}.context of deploy.toml leads to: another server, a login page; "
        "then run this again",
    )


def explain(name: str, namespace: str, code: int, told: Mapping[str, Any], text: str) -> errors.SelfdeployError:
    """Return the error for HTTP status CODE with the API server's Status TOLD, or with TEXT from any other server."""
    message = str(told.get("message") or text or f"HTTP {code}")
    if told.get("kind") != "Status":
        return _explain_way(name, code, message)
    details = _details(told)
    if code == UNAUTHORIZED:
        error: errors.SelfdeployError = _denied(name, "refuses the credential, or it has expired")
    elif code == FORBIDDEN:
        error = _explain_forbidden(name, namespace, message)
    elif code == NOT_FOUND and details.get("kind") == "namespaces":
        error = _missing(name, namespace, "does not exist")
    elif managers(told):
        error = conflict(name, describe(details), told)
    elif WEBHOOK in message:
        error = errors.ObjectRefused(
            f"{name}: admission refuses it, since it cannot be asked: {message}",
            "fix that webhook, or have its configuration let pass what it does not see",
        )
    elif code == TOO_MANY_REQUESTS or code >= INTERNAL_SERVER_ERROR:
        error = unreachable(name, message)
    else:
        about = f"{name}: the cluster refuses {describe(details)}: {message}"
        error = errors.ObjectRefused(about, "fix deploy.toml, the template or the namespace")
    return error


def bars(code: int, told: Mapping[str, Any]) -> bool:
    """Return whether RBAC denies us the proxy to every server; a 403 from a server itself does not count."""
    found = RBAC.search(str(told.get("message"))) if told.get("kind") == "Status" else None
    return code == FORBIDDEN and told.get("reason") == "Forbidden" and bool(found and found[3] in PROXIES)


def _explain_way(name: str, code: int, message: str) -> errors.SelfdeployError:
    if any(said in message for said in LOGIN):
        return _denied(name, f"was not asked, kubectl has no credential: {message}")
    if code == FORBIDDEN:
        return errors.ObjectRefused(f"{name}: not in this namespace: {message}", "render objects of the namespace only")
    return unreachable(name, message)


def _explain_forbidden(name: str, namespace: str, message: str) -> errors.SelfdeployError:
    if "because it is being terminated" in message:
        return _missing(name, namespace, "is being deleted")
    if error := forbidden(name, namespace, message):
        return error
    return errors.ObjectRefused(f"{name}: admission refuses it: {message}", "fix the namespace's policy or quota")


def forbidden(name: str, namespace: str, message: str) -> errors.ClusterForbidden | None:
    """Return the error for MESSAGE, from the API server or kubectl, if it is a denial by RBAC; else None."""
    found = RBAC.search(message)
    return denied_right(name, namespace, f"{found[2]} {found[3]}", found[1]) if found else None


def denied_right(
    name: str, namespace: str, right: str, user: str = "the credential", otherwise: str = ""
) -> errors.ClusterForbidden:
    """Return the error for a RIGHT missing to USER in NAMESPACE; OTHERWISE, a way around it, ends the hint."""
    return errors.ClusterForbidden(
        f"{name}: {user} may not {right} in namespace {namespace}",
        f"inv kubernetes.role -e {name} renders the Role that allows it{otherwise}",
    )


def _denied(name: str, why: str) -> errors.ClusterDenied:
    return errors.ClusterDenied(
        f"{name}: the Kubernetes API server {why}", f"log in again for environments.{name}.context of deploy.toml"
    )


def _missing(name: str, namespace: str, why: str) -> errors.NamespaceMissing:
    return errors.NamespaceMissing(
        f"{name}: namespace {namespace} {why}", f"create it: kubectl create namespace {namespace}"
    )


def _details(told: Mapping[str, Any]) -> dict[str, Any]:
    details = told.get("details")
    return details if isinstance(details, dict) else {}


def describe(details: Mapping[str, Any]) -> str:
    """Return kind and name of the object in DETAILS of a Status; `it` if they are missing."""
    return " ".join(str(details[key]) for key in ("kind", "name") if details.get(key)) or "it"


def managers(told: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the other owners of fields we would set, from the Status TOLD; each with its fields."""
    found: dict[str, list[str]] = {}
    causes = _details(told).get("causes")
    for cause in causes if isinstance(causes, list) else ():
        if isinstance(cause, dict) and cause.get("reason") == "FieldManagerConflict":
            owner = re.search(r'conflict with "([^"]+)"', str(cause.get("message")))
            found.setdefault(owner[1] if owner else "another manager", []).append(str(cause.get("field")))
    return found


def conflict(name: str, about: str, told: Mapping[str, Any]) -> errors.FieldConflict:
    """Return the error for the Status TOLD about fields set by other managers; ABOUT names the object."""
    owned = [f"{owner} has set {', '.join(fields)}" for owner, fields in managers(told).items()]
    return errors.FieldConflict(
        f"{name}: {about}: {'; '.join(owned)}",
        "have it let go of that, or apply what `inv render` writes yourself: kubectl apply --server-side "
        "--field-manager=selfdeploy --force-conflicts; nothing was forced here",
    )

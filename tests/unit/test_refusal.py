from typing import Any

import pytest

from selfdeploy import errors
from selfdeploy.cluster import refusal


def status(message: str, **details: object) -> dict[str, Any]:
    return {"kind": "Status", "status": "Failure", "message": message, "details": details}


CONFLICT = status(
    "Apply failed with 1 conflict",
    kind="deployments",
    name="sf",
    causes=[
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "kubectl-set" using apps/v1',
            "field": '.spec.template.spec.containers[name="server"].image',
        }
    ],
)
RBAC = 'leases.coordination.k8s.io is forbidden: User "robot" cannot create resource "leases" in API group "x"'


@pytest.mark.parametrize(
    ("code", "told", "text", "kind", "expected"),
    [
        (401, status("Unauthorized"), "", errors.ClusterDenied, "expired"),
        (403, status(RBAC), "", errors.ClusterForbidden, "robot may not create leases in namespace ns"),
        (403, status("pods is forbidden: exceeded quota: q"), "", errors.ObjectRefused, "exceeded quota"),
        (403, status("x because it is being terminated"), "", errors.NamespaceMissing, "is being deleted"),
        (404, status("gone", kind="namespaces", name="ns"), "", errors.NamespaceMissing, "namespace ns does not exist"),
        (409, CONFLICT, "", errors.FieldConflict, "deployments sf: kubectl-set has set .spec.template"),
        (422, status("immutable", kind="Deployment", name="sf"), "", errors.ObjectRefused, "Deployment sf: immutable"),
        (503, status("starting"), "", errors.ClusterUnreachable, "starting"),
        (
            500,
            status('Internal error occurred: failed calling webhook "v.example": connect: connection refused'),
            "",
            errors.ObjectRefused,
            'it cannot be asked: Internal error occurred: failed calling webhook "v.example"',
        ),
        (
            500,
            status("etcdserver: mvcc: database space exceeded"),
            "",
            errors.ClusterUnreachable,
            "database space exceeded",
        ),
        (429, status("too many"), "", errors.ClusterUnreachable, "too many"),
        (500, {}, "dial tcp: connection refused", errors.ClusterUnreachable, "connection refused"),
        (502, {}, "getting credentials: exec: no aws", errors.ClusterDenied, "no aws"),
        (403, {}, "Forbidden", errors.ObjectRefused, "not in this namespace"),
    ],
)
def test_each_refusal_is_an_error_of_its_own(
    code: int, told: dict[str, Any], text: str, kind: type[errors.SelfdeployError], expected: str
) -> None:
    error = refusal.explain("prod", "ns", code, told, text)

    assert type(error) is kind
    assert error.message.startswith("prod: ")
    assert expected in error.message
    assert error.hint


@pytest.mark.parametrize("details", [None, "pods", {"causes": [None]}, {"causes": 7}])
def test_details_of_another_shape_are_passed_over(details: object) -> None:
    told = {"kind": "Status", "message": "no", "details": details}

    assert "no" in refusal.explain("test", "ns", 422, told, "").message

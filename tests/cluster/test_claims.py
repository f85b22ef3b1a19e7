"""A volume that has grown, and a release from before: the API server itself says what it takes."""

import pytest

from lab.cluster import Cluster
from selfdeploy import errors
from selfdeploy.cluster.api import Api, Object
from selfdeploy.cluster.kubectl import Kubectl
from selfdeploy.environments.kubernetes.objects import Objects


def a_claim(size: str) -> Object:
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "resources": {"requests": {"storage": size}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "home"}, "spec": spec}


def test_a_claim_that_has_grown_keeps_nothing_from_being_put_back(real: Cluster) -> None:
    with real.namespace() as namespace:
        path = str(real.kubeconfig)
        kubectl = Kubectl(name="test", command=real.command, context=real.context, namespace=namespace, kubeconfig=path)
        those = Objects(api=Api(kubectl=kubectl), selector="none=of-them")
        those.apply(a_claim("10Gi"), None)
        (before,) = those.changes([a_claim("5Gi")])

        with pytest.raises(errors.ObjectRefused):
            those.rehearse(a_claim("5Gi"))
        those.apply(before.wanted, before.before)

        assert not before.is_one
        assert (those.live(a_claim("5Gi")) or {})["spec"]["resources"]["requests"] == {"storage": "10Gi"}

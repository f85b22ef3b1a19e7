from lab.cluster import Cluster
from selfdeploy import process
from selfdeploy.environments.kubernetes import kubeconfig
from selfdeploy.environments.kubernetes.kubectl import Kubectl


def test_kubectl_takes_a_kubeconfig_that_is_in_no_file(real: Cluster) -> None:
    path = kubeconfig.hold(real.kubeconfig.read_text())
    kubectl = Kubectl(name="test", command=real.command, context=real.context, namespace="default", kubeconfig=path)

    told = process.run(kubectl.argv("get", "--raw", "/version"), timeout=60)

    assert "gitVersion" in told.text
    assert kubectl.socket.exists()

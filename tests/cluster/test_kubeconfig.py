import time
from concurrent.futures import ThreadPoolExecutor

from lab.cluster import Cluster
from selfdeploy import process
from selfdeploy.cluster import kubeconfig
from selfdeploy.cluster.kubectl import Kubectl


def test_kubectl_takes_a_kubeconfig_that_is_in_no_file(real: Cluster) -> None:
    path = kubeconfig.hold(real.kubeconfig.read_text())
    kubectl = Kubectl(name="test", command=real.command, context=real.context, namespace="default", kubeconfig=path)

    told = process.run(kubectl.argv("get", "--raw", "/version"), timeout=60)

    assert "gitVersion" in told.text
    assert kubectl.socket.exists()


def test_the_way_to_a_cluster_outlives_the_thread_that_asked_first(real: Cluster) -> None:
    path = str(real.kubeconfig)
    kubectl = Kubectl(name="test", command=real.command, context=real.context, namespace="default", kubeconfig=path)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(lambda: kubectl.socket).result()
    time.sleep(1)  # what ends with a thread ends soon after it

    assert kubectl.socket == first
    assert first.exists()

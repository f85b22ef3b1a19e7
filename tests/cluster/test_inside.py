"""The RPC probe in a namespace: asked inside each pod, under a right of its own."""

from collections.abc import Callable

from lab import site as lab
from lab.cluster.site import Site
from selfdeploy import errors

PROXIED = 'variables = {HTTP_PROXY = "http://127.0.0.1:1", NODE_USE_ENV_PROXY = "1", NODE_EXTRA_CA_CERTS = "/none"}'
"""Variables of the server, under which what is run beside it would ask nobody."""


def test_the_rpc_probe_is_part_of_the_proof_under_a_right_that_nothing_else_needs(
    new_site: Callable[..., Site],
) -> None:
    site = new_site()
    site.configure(probes=f"{lab.BRISK}\nrpc = true", test=PROXIED)

    refused = site.inv("release", "--to", "test")
    site.admit()  # the Role anew, as it is rendered now
    released = site.inv("release")
    first = site.version("test")["revision"]

    assert refused.returncode == errors.ClusterForbidden.exit_code, refused.stderr
    assert "may not get pods in namespace" in refused.stderr
    assert "inv kubernetes.role -e test" in refused.stderr
    assert released.returncode == 0, released.stderr
    assert site.inv("probe", "-e", "prod").returncode == 0
    assert first == site.revision


def test_a_server_whose_rpc_does_not_answer_is_put_back(new_site: Callable[..., Site]) -> None:
    site = new_site()
    site.configure(probes=f"{lab.IMPATIENT}\nrpc = true")
    site.admit()
    first = site.inv("release", "--to", "test")
    proven = site.revision
    site.begin_server('process.env.SF_AUTH_TOKEN = "another than its own file has";', "the call is refused")

    broken = site.inv("release", "--to", "test")

    assert first.returncode == 0, first.stderr
    assert broken.returncode == errors.PutBack.exit_code, broken.stderr
    assert "rpc: expected HTTP 200, actual HTTP 401" in broken.stderr
    assert site.version("test")["revision"] == proven

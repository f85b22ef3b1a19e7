"""The RPC probe and extra paths in a namespace: asked inside each pod under a right of its own, or without a token."""

from collections.abc import Callable

from lab import site as lab
from lab.cluster.site import Site
from selfdeploy import errors

PROXIED = 'variables = {HTTP_PROXY = "http://127.0.0.1:1", NODE_USE_ENV_PROXY = "1", NODE_EXTRA_CA_CERTS = "/none"}'
"""Variables of the server, under which what is run beside it would ask nobody."""

FAILING = """
const { Server } = require("node:http");
const emit = Server.prototype.emit;
Server.prototype.emit = function (event, request, response) {
  if (event !== "request" || request.url !== "/api/live-state") return emit.apply(this, arguments);
  response.writeHead(500, { "content-type": "application/json" });
  response.end(JSON.stringify({ why: "no workers" }));
  return true;
};
"""
"""What a server begins with that is alive and ready, and has no state to show."""


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


def test_an_extra_path_is_asked_inside_each_pod_and_one_that_fails_is_put_back(
    new_site: Callable[..., Site],
) -> None:
    site = new_site()
    site.configure(probes=f'{lab.BRISK}\nextra = ["/api/live-state"]', test=PROXIED)

    refused = site.inv("release", "--to", "test")
    site.admit()  # the Role anew, as it is rendered now
    released = site.inv("release")
    proven, replicas = site.revision, site.pods("prod")
    site.configure(probes=f'{lab.IMPATIENT}\nextra = ["/api/live-state"]', test=PROXIED)
    site.begin_server(FAILING, "its state fails")
    broken = site.inv("release", "--to", "test")

    assert refused.returncode == errors.ClusterForbidden.exit_code, refused.stderr
    assert "probes.extra_token = false" in refused.stderr
    assert released.returncode == 0, released.stderr
    assert len(replicas) == 2
    assert broken.returncode == errors.PutBack.exit_code, broken.stderr
    assert '/api/live-state: expected HTTP 200, actual HTTP 500: {"why":"no workers"}' in broken.stderr
    assert site.version("test")["revision"] == proven


def test_an_extra_path_that_needs_no_token_needs_no_further_right(new_site: Callable[..., Site]) -> None:
    site = new_site()
    site.configure(probes=f'{lab.BRISK}\nextra = ["/admin"]\nextra_token = false')

    released = site.inv("release")
    asked = site.inv("probe", "-e", "prod")
    site.configure(probes=f'{lab.IMPATIENT}\nextra = ["/admin", "/api/live-state"]\nextra_token = false')
    closed = site.inv("probe", "-e", "prod")

    assert released.returncode == 0, released.stderr  # with the Role as it was rendered without any extra path
    assert asked.returncode == 0, asked.stderr
    assert closed.returncode == errors.NotProven.exit_code, closed.stderr
    assert '/api/live-state: expected HTTP 200, actual HTTP 401: {"error":"a token is needed"}' in closed.stderr
    assert "/admin" not in closed.stderr

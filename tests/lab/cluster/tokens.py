"""A token of an account of the lab's own cluster, signed as its API server signs them; also one that is over."""

import base64
import json
import time

from lab import children
from lab.cluster import Cluster, state

ISSUER = "https://kubernetes.default.svc"


def sign(cluster: Cluster, namespace: str, name: str, seconds: int) -> str:
    """Return a token of the account NAME in NAMESPACE of CLUSTER good for SECONDS; below 0, one that is over."""
    uid = cluster.get(f"--namespace={namespace}", "serviceaccount", name)["metadata"]["uid"]
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": [ISSUER],
        "sub": f"system:serviceaccount:{namespace}:{name}",
        "nbf": now - 3600,
        "exp": now + seconds,
        "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}},
    }
    head = ".".join(_encode(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, claims))
    key = state() / "pki" / "sa.key"
    return f"{head}.{_encode(children.run(['openssl', 'dgst', '-sha256', '-sign', str(key)], given=head.encode()))}"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

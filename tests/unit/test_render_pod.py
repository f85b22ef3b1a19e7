import pytest

from lab.objects import deployment, named, objects, of_kind, pod, server
from lab.values import CHILD, INDEX, a_manifest, a_namespace_with_everything
from selfdeploy import render


def storage(access: str) -> dict[str, object]:
    return {"home": {"access": access}, "workspace": {"access": access}}


def test_the_image_is_named_by_digest() -> None:
    assert server()["image"] == f"127.0.0.1:5000/sf@{INDEX}"


def test_a_pod_passes_what_restricted_asks_for() -> None:
    """The list is that of Kubernetes' Pod Security Standards, policy Restricted, with Baseline below it."""
    told, container = pod(**a_namespace_with_everything()), server(**a_namespace_with_everything())

    assert told["securityContext"]["runAsNonRoot"] is True
    assert told["securityContext"]["runAsUser"] != 0
    assert told["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {key for volume in told["volumes"] for key in volume} <= {
        "name", "configMap", "emptyDir", "persistentVolumeClaim",
    }  # fmt: skip
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers", "initContainers", "ephemeralContainers"} & set(told)
    assert set(told["securityContext"]) == {
        "runAsNonRoot", "runAsUser", "runAsGroup", "fsGroup", "fsGroupChangePolicy", "seccompProfile",
    }  # fmt: skip
    assert set(container["securityContext"]) == {
        "allowPrivilegeEscalation", "readOnlyRootFilesystem", "capabilities",
    }  # fmt: skip
    assert not any("hostPort" in port for port in container["ports"])


def test_the_server_can_change_nothing_about_itself_or_the_cluster() -> None:
    (account,) = of_kind("ServiceAccount", objects())

    assert server()["securityContext"]["readOnlyRootFilesystem"] is True
    assert account["automountServiceAccountToken"] is False
    assert pod()["automountServiceAccountToken"] is False
    assert pod()["serviceAccountName"] == account["metadata"]["name"]
    assert pod()["enableServiceLinks"] is False
    written = {mount["mountPath"] for mount in server()["volumeMounts"] if not mount.get("readOnly")}
    assert written == {"/home/sf", "/workspace", "/tmp"}  # noqa: S108 -- a path in the container


def test_the_manifest_is_in_a_config_map_that_nobody_changes_and_its_content_names() -> None:
    made, other = a_manifest(), a_manifest(image=a_manifest().image.model_copy(update={"digest": CHILD}))

    (told,), (different,) = of_kind("ConfigMap", objects(made)), of_kind("ConfigMap", objects(other))

    assert told["immutable"] is True
    assert told["data"]["sf-release-manifest.json"].encode() == made.bytes
    assert told["metadata"]["name"] == render.manifest_name(made.release)
    assert told["metadata"]["name"] != different["metadata"]["name"]
    assert {"name": "manifest", "configMap": {"name": told["metadata"]["name"]}} in pod(made)["volumes"]
    assert {"name": "manifest", "mountPath": "/run/selfdeploy", "readOnly": True} in server(made)["volumeMounts"]


def test_the_server_is_told_what_the_contract_says() -> None:
    told = {entry["name"]: entry.get("value") for entry in server()["env"]}

    assert told == {
        "HOME": "/home/sf",
        "SF_RELEASE_MANIFEST": "/run/selfdeploy/sf-release-manifest.json",
        "SF_WEB_PROJECT_CWD": "/workspace",
        "SF_WEB_HOST": "0.0.0.0",  # noqa: S104 -- inside its own network namespace
        "SF_WEB_PORT": "4000",
    }


def test_a_secret_is_referred_to_and_nothing_more() -> None:
    told = server(secrets={"SF_AUTH_TOKEN": {"name": "sf-auth", "key": "token"}})["env"][-1]

    reference = {"secretKeyRef": {"name": "sf-auth", "key": "token"}}
    assert told == {"name": "SF_AUTH_TOKEN", "valueFrom": reference}


def test_the_image_is_pulled_with_the_secrets_that_are_named() -> None:
    (account,) = of_kind("ServiceAccount", objects(pull_secrets=["b", "a"]))
    (without,) = of_kind("ServiceAccount", objects())

    assert account["imagePullSecrets"] == [{"name": "a"}, {"name": "b"}]
    assert "imagePullSecrets" not in without


def test_the_kubelet_asks_what_the_manifest_says() -> None:
    probes = {"healthz": "/h", "ready": "/r", "version": "/v"}

    told = server(a_manifest(probes=probes), startup=90)

    asked = {kind: told[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")}
    assert asked == {"startup": "/h", "readiness": "/r", "liveness": "/h"}
    assert told["startupProbe"]["failureThreshold"] * told["startupProbe"]["periodSeconds"] == 90


@pytest.mark.parametrize(("grace", "drain", "period"), [(15, 5, 20), (0.5, 1, 2), (20.5, 300, 321)])
def test_a_pod_that_goes_first_drains_and_then_has_its_whole_grace(grace: float, drain: int, period: int) -> None:
    keys = {"strategy": "rolling", "grace": grace, "drain": drain, "deadline": 400}

    assert server(**keys)["lifecycle"] == {"preStop": {"sleep": {"seconds": drain}}}
    assert pod(**keys)["terminationGracePeriodSeconds"] == period >= drain + grace


def test_a_pod_that_is_gone_before_the_next_one_comes_loses_no_time_draining() -> None:
    assert "lifecycle" not in server(strategy="recreate")
    assert pod(strategy="recreate", grace=15)["terminationGracePeriodSeconds"] == 15


ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


@pytest.mark.parametrize(
    ("keys", "strategy", "one_node"),
    [
        ({}, {"type": "Recreate"}, False),
        ({"storage": storage("ReadWriteMany")}, ROLLING, False),
        ({"storage": {"home": {"access": "ReadWriteMany"}}}, {"type": "Recreate"}, False),
        ({"storage": storage("ReadWriteMany"), "strategy": "recreate"}, {"type": "Recreate"}, False),
        ({"strategy": "rolling"}, ROLLING, True),
        ({"replicas": 2}, {"type": "Recreate"}, True),
        ({"storage": storage("ReadWriteOncePod")}, {"type": "Recreate"}, False),
    ],
)
def test_a_rollout_does_what_the_volumes_allow(
    keys: dict[str, object],
    strategy: dict[str, object],
    one_node: bool,  # noqa: FBT001 -- a table
) -> None:
    affinity = pod(**keys)["affinity"]

    assert deployment(**keys)["spec"]["strategy"] == strategy
    assert ("podAffinity" in affinity) is one_node


def test_pods_that_have_to_share_a_node_find_each_other_and_others_spread() -> None:
    together, apart = pod(strategy="rolling"), pod(replicas=2, storage=storage("ReadWriteMany"))

    (term,) = together["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    assert term["labelSelector"]["matchLabels"] == deployment()["spec"]["selector"]["matchLabels"]
    assert "topologySpreadConstraints" not in together
    assert apart["topologySpreadConstraints"][0]["whenUnsatisfiable"] == "ScheduleAnyway"


def test_a_pod_goes_only_where_the_image_runs() -> None:
    image = a_manifest().image
    platform = image.platforms["linux/amd64"]
    both = image.model_copy(update={"platforms": {"linux/arm64/v8": platform, "linux/amd64": platform}})

    affinity = pod(a_manifest(image=both))["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]

    (term,) = affinity["nodeSelectorTerms"]
    assert term["matchExpressions"] == [{"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64", "arm64"]}]


def test_several_pods_have_a_budget_and_one_has_none() -> None:
    (budget,) = of_kind("PodDisruptionBudget", objects(replicas=2))

    assert budget["spec"]["maxUnavailable"] == 1
    assert of_kind("PodDisruptionBudget", objects(replicas=1)) == []


def test_a_claim_is_made_or_the_one_that_is_there_is_taken() -> None:
    told = objects(storage={"home": {"claim": "kept"}, "workspace": {"size": "9Gi", "class": "local-path"}})

    (claim,) = of_kind("PersistentVolumeClaim", told)
    claims = {volume["name"]: volume["persistentVolumeClaim"]["claimName"]
              for volume in named(told)["Deployment", "sf"]["spec"]["template"]["spec"]["volumes"]
              if "persistentVolumeClaim" in volume}  # fmt: skip
    assert claims == {"home": "kept", "workspace": "sf-workspace"}
    assert claim["metadata"]["name"] == "sf-workspace"
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "local-path",
        "resources": {"requests": {"storage": "9Gi"}},
    }


def test_no_class_is_not_the_default_class() -> None:
    told = objects(storage={"home": {"class": ""}})

    classes = [claim["spec"].get("storageClassName") for claim in of_kind("PersistentVolumeClaim", told)]
    assert classes == ["", None]

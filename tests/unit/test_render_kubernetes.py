import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from lab import golden
from lab.values import CHILD, INDEX, REVISION, a_manifest, a_namespace, a_namespace_with_everything, a_project
from selfdeploy import errors, manifest, render

HOSTILE = 'a"b: $x $(y) $$\n- {{ z }} </> \\ \x7f\x85\u2028 ü 😀\n---\nkind: Secret'
TEMPLATES = Path(__file__).parents[2] / "templates" / "kubernetes"
WHOLE_NUMBERS = {"replicas", "deadline", "termination", "startup", "drain"}


def text_of(made: manifest.Manifest | None = None, /, **keys: object) -> str:
    project = a_project(environments={"test": a_namespace(**keys)})
    return render.kubernetes(project, "test", made or a_manifest())


def objects(made: manifest.Manifest | None = None, /, **keys: object) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(text_of(made, **keys)))


def named(told: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(one["kind"], one["metadata"]["name"]): one for one in told}


def of_kind(kind: str, told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in told if one["kind"] == kind]


def deployment(made: manifest.Manifest | None = None, /, **keys: object) -> dict[str, Any]:
    (told,) = of_kind("Deployment", objects(made, **keys))
    return told


def pod(made: manifest.Manifest | None = None, /, **keys: object) -> dict[str, Any]:
    spec = deployment(made, **keys)["spec"]["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


def server(made: manifest.Manifest | None = None, /, **keys: object) -> dict[str, Any]:
    (container,) = pod(made, **keys)["containers"]
    assert isinstance(container, dict)
    return container


def storage(access: str) -> dict[str, object]:
    return {"home": {"access": access}, "workspace": {"access": access}}


def test_the_objects_are_what_they_were() -> None:
    assert golden.KUBERNETES.read_text() == golden.kubernetes(), golden.RENEW


@pytest.mark.parametrize("keys", [{}, {"ingress": {"host": "sf.example.test"}}, a_namespace_with_everything()])
def test_every_object_is_one_that_kubernetes_takes(keys: dict[str, object]) -> None:
    for told in objects(**keys):
        kubernetes_validate.validate(told, "1.34", strict=True)


def test_an_object_that_kubernetes_would_refuse_is_seen() -> None:
    told = deployment()
    told["spec"]["template"]["spec"]["containers"][0]["imagePulPolicy"] = "Never"

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(told, "1.34", strict=True)


def test_equal_input_makes_equal_bytes_in_whatever_order_it_is_written() -> None:
    def told(*names: str) -> str:
        variables, secrets = dict.fromkeys(names, "x"), {f"{name}_S": {"name": "s", "key": name} for name in names}
        network = {"namespaces": [name.lower() for name in names]}
        return text_of(variables=variables, secrets=secrets, network=network, pull_secrets=network["namespaces"])

    assert told("A", "B") == told("B", "A")


def empty(value: object) -> bool:
    inner = list(value.values()) if isinstance(value, dict) else value
    return inner == [] or (isinstance(inner, list) and any(map(empty, inner)))


def test_an_empty_variable_is_one_without_a_value_as_the_api_server_keeps_it() -> None:
    assert server(variables={"A": ""})["env"][-1] == {"name": "A"}


@pytest.mark.parametrize(
    "keys",
    [
        {},
        a_namespace_with_everything(),
        {
            "network": {"namespaces": []},
            "resources": {"requests": {}, "limits": {}},
            "ingress": {"host": "h.test", "guard": {"a.test/login": "yes"}},
        },
    ],
)
def test_nothing_empty_is_rendered_which_the_api_server_would_drop(keys: dict[str, object]) -> None:
    assert not any(map(empty, objects(**keys)))


def test_the_least_is_these_objects() -> None:
    told = named(objects())

    assert list(told) == [
        ("ServiceAccount", "sf"),
        ("ConfigMap", render.manifest_name(a_manifest().release)),
        ("PersistentVolumeClaim", "sf-home"),
        ("PersistentVolumeClaim", "sf-workspace"),
        ("NetworkPolicy", "sf"),
        ("Service", "sf"),
        ("Deployment", "sf"),
    ]
    assert {one["metadata"]["namespace"] for one in told.values()} == {"sf-test"}


def test_nothing_is_in_what_is_applied_but_objects_of_the_namespace_that_hold_no_secret() -> None:
    kinds = {one["kind"] for one in objects(**a_namespace_with_everything())}

    assert kinds == {
        "ServiceAccount", "ConfigMap", "PersistentVolumeClaim", "NetworkPolicy", "Service", "Deployment",
        "PodDisruptionBudget", "Ingress",
    }  # fmt: skip


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


def test_a_manifest_with_hostile_strings_arrives_as_it_is() -> None:
    made = a_manifest(source=manifest.Source(repository=HOSTILE, revision=REVISION, path=HOSTILE, tree="b" * 40))

    (told,) = of_kind("ConfigMap", objects(made))

    assert told["data"]["sf-release-manifest.json"].encode() == made.bytes


def test_another_release_changes_what_is_of_the_release_and_nothing_else() -> None:
    keys = a_namespace_with_everything()
    old = named(objects(**keys))
    new = named(objects(a_manifest(image=a_manifest().image.model_copy(update={"digest": CHILD})), **keys))

    changed = {kind for kind, name in old.keys() | new.keys() if old.get((kind, name)) != new.get((kind, name))}
    assert changed == {"ConfigMap", "Deployment"}


def test_every_selector_is_the_same_for_every_release_and_finds_the_pods() -> None:
    keys = a_namespace_with_everything()
    for made in (a_manifest(), a_manifest(source=a_manifest().source.model_copy(update={"revision": "f" * 40}))):
        told = named(objects(made, **keys))
        selectors = (
            told["Deployment", "sf-one"]["spec"]["selector"]["matchLabels"],
            told["Service", "sf-one"]["spec"]["selector"],
            told["NetworkPolicy", "sf-one"]["spec"]["podSelector"]["matchLabels"],
            told["PodDisruptionBudget", "sf-one"]["spec"]["selector"]["matchLabels"],
        )
        for selector in selectors:
            assert selector == {"app.kubernetes.io/name": "sf", "app.kubernetes.io/instance": "sf-one"}
        labels = told["Deployment", "sf-one"]["spec"]["template"]["metadata"]["labels"]
        assert selectors[0].items() <= labels.items()


def test_a_pod_says_of_which_release_it_is_and_every_object_who_made_it() -> None:
    made = a_manifest()

    said = {
        "dev.selfdeploy/revision": REVISION,
        "dev.selfdeploy/release": made.release,
        "dev.selfdeploy/digest": INDEX,
    }
    told = deployment(made)
    assert told["metadata"]["annotations"] == told["spec"]["template"]["metadata"]["annotations"] == said
    assert told["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/version"] == REVISION
    for one in objects(**a_namespace_with_everything()):
        assert one["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "selfdeploy"


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


def test_the_service_is_reached_inside_only() -> None:
    (service,) = of_kind("Service", objects())

    assert service["spec"]["type"] == "ClusterIP"
    assert service["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]
    assert of_kind("Ingress", objects()) == []


def test_the_ingress_leads_to_the_service() -> None:
    (told,) = of_kind("Ingress", objects(ingress={"host": "sf.example.test", "tls": "sf-tls"}))

    (rule,) = told["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert told["spec"]["ingressClassName"] == "traefik"
    assert told["spec"]["tls"] == [{"hosts": ["sf.example.test"], "secretName": "sf-tls"}]
    assert rule["host"] == "sf.example.test"
    assert path == {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "sf", "port": {"name": "http"}}}}
    assert "tls" not in of_kind("Ingress", objects(ingress={"host": "sf.example.test"}))[0]["spec"]


def test_the_probe_paths_pass_where_the_rest_asks_for_a_login() -> None:
    ingress = {"host": "h.test", "annotations": {"a.test/all": "1"}, "guard": {"a.test/login": "yes"}}

    told = named(objects(ingress=ingress))

    guarded, open_ = told["Ingress", "sf"], told["Ingress", "sf-probes"]
    assert guarded["metadata"]["annotations"] == {"a.test/all": "1", "a.test/login": "yes"}
    assert open_["metadata"]["annotations"] == {"a.test/all": "1"}
    paths = open_["spec"]["rules"][0]["http"]["paths"]
    assert [(path["path"], path["pathType"]) for path in paths] == [
        ("/api/healthz", "Exact"),
        ("/api/ready", "Exact"),
        ("/api/version", "Exact"),
    ]


def test_only_who_is_named_connects() -> None:
    (told,) = of_kind("NetworkPolicy", objects(network={"namespaces": ["traefik"], "addresses": ["10.0.0.0/8"]}))
    (nobody,) = of_kind("NetworkPolicy", objects(network={"namespaces": []}))

    ports = [{"port": "http", "protocol": "TCP"}]
    namespace = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "traefik"}}}
    assert told["spec"]["policyTypes"] == ["Ingress"]
    assert told["spec"]["ingress"] == [
        {"from": [namespace], "ports": ports},
        {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": ports},
    ]
    assert "ingress" not in nobody["spec"]


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


def rights(**keys: object) -> dict[tuple[str, str], dict[str, Any]]:
    text = render.rights(a_project(environments={"test": a_namespace(**keys)}), "test")
    return named(list(yaml.safe_load_all(text)))


def allowed(**keys: object) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Return each verb and resource of the Role, with the names that it is limited to."""
    for rule in rights(**keys)["Role", "sf-deploy"]["rules"]:
        for resource in rule["resources"]:
            yield from ((verb, resource, tuple(rule.get("resourceNames", ()))) for verb in rule["verbs"])


def test_the_rights_are_objects_that_kubernetes_takes_and_belong_together() -> None:
    told = rights()

    for one in told.values():
        kubernetes_validate.validate(one, "1.34", strict=True)
    binding = told["RoleBinding", "sf-deploy"]
    assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "sf-deploy"}
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "sf-deploy", "namespace": "sf-test"}]
    assert ("ServiceAccount", "sf-deploy") in told
    assert {one["metadata"]["namespace"] for one in told.values()} == {"sf-test"}


def test_the_rights_are_those_of_no_object_that_a_release_would_prune() -> None:
    for one in rights().values():
        assert "labels" not in one["metadata"]


def test_the_rights_reach_no_secret_and_no_rights_and_name_what_they_can() -> None:
    told = list(allowed(**a_namespace_with_everything() | {"name": "sf"}))

    assert not {"secrets", "roles", "rolebindings", "serviceaccounts/token", "pods/exec", "*"} & {r for _, r, _ in told}
    assert "*" not in {verb for verb, _, _ in told}
    nameless = {(verb, resource) for verb, resource, names in told if not names}
    changing = {(verb, resource) for verb, resource in nameless if verb not in {"get", "list", "watch"}}
    assert changing == {
        ("create", "leases"), ("create", "configmaps"), ("update", "configmaps"), ("patch", "configmaps"),
        ("delete", "configmaps"),
    }  # fmt: skip


def test_every_rendered_kind_may_be_applied() -> None:
    plural = {"NetworkPolicy": "networkpolicies", "Ingress": "ingresses"}
    kinds = {one["kind"] for one in objects(**a_namespace_with_everything())}

    resources = {resource for verb, resource, _ in allowed() if verb == "patch"}

    assert resources == {plural.get(kind, f"{kind.lower()}s") for kind in kinds}


def test_a_claim_that_is_there_already_is_nobody_s_to_change() -> None:
    claims = {"home": {"claim": "kept"}, "workspace": {"claim": "kept"}}

    assert not [told for told in allowed(storage=claims) if told[1] == "persistentvolumeclaims"]
    assert ("patch", "persistentvolumeclaims", ("sf-home", "sf-workspace")) in list(allowed())


def leaves(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Return the way to every string in VALUE."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))
    elif isinstance(value, str):
        yield path


def objects_unless_refused(keys: dict[str, object]) -> list[dict[str, Any]] | str:
    try:
        return objects(**keys)
    except errors.ConfigInvalid as refused:
        return refused.message


def put(value: Any, path: tuple[str | int, ...], text: str) -> Any:  # noqa: ANN401 -- TOML
    changed = copy.deepcopy(value)
    inner = changed
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = text
    return changed


def replaced(value: object, old: str, new: str) -> object:
    if isinstance(value, dict):
        return {key: replaced(inner, old, new) for key, inner in value.items()}
    if isinstance(value, list):
        return [replaced(inner, old, new) for inner in value]
    return new if value == old else value


@pytest.mark.parametrize("path", [*leaves(a_namespace_with_everything())], ids=lambda path: ".".join(map(str, path)))
def test_a_hostile_value_is_refused_or_stays_a_value(path: tuple[str | int, ...]) -> None:
    hostile = objects_unless_refused(put(a_namespace_with_everything(), path, HOSTILE))
    if isinstance(hostile, str):
        assert "environments.test." in hostile
        return

    benign = objects(**put(a_namespace_with_everything(), path, "a-value-of-its-own"))
    expanded_once = HOSTILE.replace("$", "$$") if path[0] == "variables" else HOSTILE  # which the kubelet reads as one
    assert hostile == replaced(benign, "a-value-of-its-own", expanded_once)


@pytest.mark.parametrize(
    "keys",
    [
        {"variables": {HOSTILE: "x"}},
        {"secrets": {HOSTILE: {"name": "s", "key": "k"}}},
        {"ingress": {"host": "h.test", "annotations": {HOSTILE: "x"}}},
        {"ingress": {"host": "h.test", "guard": {HOSTILE: "x"}}},
        {"variables": {"A": "\0"}},
    ],
)
def test_a_hostile_key_is_refused(keys: dict[str, object]) -> None:
    with pytest.raises(errors.ConfigInvalid):
        text_of(**keys)


def test_the_objects_are_plain_ascii_that_every_yaml_reader_reads_alike() -> None:
    assert text_of(variables={"V": HOSTILE}).isascii()


@pytest.mark.parametrize("template", sorted(TEMPLATES.rglob("*.j2")), ids=lambda path: path.name)
def test_every_string_in_a_template_is_quoted(template: Path) -> None:
    for expression in re.findall(r"{{(.*?)}}(?!})", template.read_text().replace("}}}", "}} }")):
        assert expression.strip().endswith(("| tojson", "| quoted")) or expression.strip() in WHOLE_NUMBERS


def test_a_project_s_own_template_wins_and_the_others_stay(tmp_path: Path) -> None:
    own = tmp_path / "templates" / "kubernetes"
    own.mkdir(parents=True)
    (own / "service.yml.j2").write_text("kind: Service\nmetadata: {name: {{ name | tojson }}}\n")

    text = render.kubernetes(a_project(tmp_path, environments={"test": a_namespace()}), "test", a_manifest())

    told = named(list(yaml.safe_load_all(text)))
    assert told["Service", "sf"] == {"kind": "Service", "metadata": {"name": "sf"}}
    assert ("Deployment", "sf") in told

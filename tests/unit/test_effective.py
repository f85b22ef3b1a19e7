from pathlib import Path

from lab.values import a_project
from selfdeploy.config import effective


def test_each_value_comes_with_its_origin(tmp_path: Path) -> None:
    (tmp_path / "deploy.toml").write_text(
        '[probes]\ninterval = 0.5\n\n[environments.only]\nkind = "compose"\nport = 4100\n'
    )
    environments = {"only": {"kind": "compose", "port": 4100}}
    project = a_project(tmp_path, probes={"interval": 0.5}, environments=environments)
    laid_over = project.model_copy(update={"origins": {"environments.only.port": "deploy.local.toml"}})

    found = {setting.path: setting for setting in effective.settings(laid_over)}

    assert str(found["probes.interval"]) == "probes.interval = 0.5  (deploy.toml)"
    assert found["probes.consecutive"].as_data() == {"path": "probes.consecutive", "value": 3, "origin": "default"}
    assert found["environments.only.port"].origin == "deploy.local.toml"
    assert found["environments.only.kind"].origin == "deploy.toml"
    assert "environments.only.after" not in found  # it has no value
    assert "root" not in found

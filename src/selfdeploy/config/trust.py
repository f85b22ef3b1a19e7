"""The keys whose signatures are believed, and those that are believed no longer."""

from typing import Annotated

import pydantic

from selfdeploy.config.values import Value

KeyFile = Annotated[str, pydantic.Field(min_length=1, max_length=1000, pattern=r"^[^\x00\r\n]+$")]
"""A file with a public key in PEM, relative to deploy.toml's folder."""


class Revoked(Value):
    """A key that is believed no longer."""

    key: KeyFile = pydantic.Field(description="The file of the public key.")
    since: str = pydantic.Field(pattern=r"^\d{4}-\d{2}-\d{2}$", description="The day of its revocation, as 2026-11-30.")


class Trust(Value):
    """Which signatures a release needs."""

    keys: tuple[KeyFile, ...] = pydantic.Field(
        (),
        max_length=16,
        description="Files with the public keys (PEM) that sign releases; empty: nothing is verified.",
    )
    revoked: tuple[Revoked, ...] = pydantic.Field(
        (), max_length=64, description="Keys whose signatures count no longer; `key` and `since`."
    )
    signer: tuple[str, ...] = pydantic.Field(
        (),
        description="A command, as a list of arguments: it signs its standard input and prints base64.",
    )
    signer_key: KeyFile | None = pydantic.Field(None, description="The public key of `signer`: one of `keys`.")

    @property
    def valid(self) -> tuple[str, ...]:
        """The keys that are not revoked."""
        gone = {revoked.key for revoked in self.revoked}
        return tuple(key for key in self.keys if key not in gone)

    @pydantic.model_validator(mode="after")
    def _agree(self) -> "Trust":
        if bool(self.signer) != bool(self.signer_key):
            raise ValueError("signer and signer_key come together")
        if self.signer_key and self.signer_key not in self.keys:
            raise ValueError(f"signer_key: {self.signer_key} is not one of keys")
        if (self.keys or self.revoked) and not self.valid:
            raise ValueError("keys: none that is not revoked; name a new one")
        return self

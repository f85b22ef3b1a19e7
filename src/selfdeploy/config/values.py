"""What every value of deploy.toml is made of."""

import re
from typing import Annotated

import pydantic

Name = Annotated[str, pydantic.Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
Variable = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Text = Annotated[str, pydantic.Field(pattern=r"^[^\x00]*$")]
Seconds = Annotated[float, pydantic.Field(gt=0, le=86_400)]
Smoke = Annotated[
    float,
    pydantic.BeforeValidator(lambda value: 0.0 if value is False or value == "off" else value),
    pydantic.Field(ge=0, le=86_400),
]
Address = Annotated[str, pydantic.Field(pattern=r"^(https?://[^\s\x00-\x1f]+)?$")]
Port = Annotated[int, pydantic.Field(ge=1, le=65_535)]


def _is_plain(path: str) -> str:
    plain = re.split("[?#]", path)[0]
    if plain != path:  # a query may hold a secret
        raise ValueError(
            f"{plain!a}: a query or fragment is not allowed, for it would stand in logs; name the path alone"
        )
    if not path.startswith("/") or not re.fullmatch(r"[A-Za-z0-9._~:@/-]{1,200}", path):
        raise ValueError(f"{path!a}: not a path that begins with / and has only letters, digits and ._~:@-")
    if {"", ".", ".."} & set(path.rstrip("/").split("/")[1:]):
        raise ValueError(f"{path!a}: an empty, '.' or '..' segment is not allowed; name the path as the server has it")
    return path


Extra = Annotated[str, pydantic.AfterValidator(_is_plain)]
"""A path on the server, without a query."""


class Value(pydantic.BaseModel):
    """A frozen value that refuses keys it does not know."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)

"""What every value of deploy.toml is made of."""

from typing import Annotated

import pydantic

Name = Annotated[str, pydantic.Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
Variable = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Text = Annotated[str, pydantic.Field(pattern=r"^[^\x00]*$")]
Seconds = Annotated[float, pydantic.Field(gt=0, le=86_400)]
Port = Annotated[int, pydantic.Field(ge=1, le=65_535)]


class Value(pydantic.BaseModel):
    """A frozen value that refuses keys it does not know."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)

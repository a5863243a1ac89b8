"""The second opinion's own settings."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, SecretStr

from settings.kinds import Group, Key, PositiveSeconds, Unit


class Audit(Group):
    """The second opinion, `trader audit`: a process of its own with keys of its own."""

    prefix: ClassVar[str] = "AUDIT__"

    key_id: Key = Field(
        default=SecretStr(""), description="A key for reading the account. Empty: ALPACA_API_KEY_ID of the daemon."
    )
    secret_key: Key = Field(default=SecretStr(""), description="Its secret.")
    every_s: PositiveSeconds = Field(default=180, description="From one look to the next.")
    looks: Annotated[int, Field(ge=1, le=20), Unit("looks")] = Field(
        default=2, description="In how many looks in a row a difference must stand before it is told."
    )
    latch: Literal["none", "halt", "kill"] = Field(
        default="halt", description="What a confirmed difference in the books latches, beside the alert."
    )

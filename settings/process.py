"""The settings of the processes: what the daemon logs, and how the forecaster's worker runs."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from settings.kinds import Group, Right, Unit


class Log(Group):
    """What the daemon says on its standard output."""

    prefix: ClassVar[str] = "LOG_"

    level: Literal["TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        default="INFO", description="The least important message that is still written."
    )
    format: Literal["auto", "text", "json"] = Field(
        default="auto", description="auto is text on a terminal and a JSON object a line elsewhere."
    )


class Worker(Group):
    """The process that runs the forecaster."""

    prefix: ClassVar[str] = "WORKER_"

    socket: Annotated[str, Right("an absolute path")] = Field(
        default="",
        max_length=107,
        pattern=r"^(/.*)?$",
        description="The socket of a worker that runs as its own unit. Empty: the daemon spawns one.",
    )
    memory_mb: Annotated[int, Field(ge=0, le=4_194_304), Unit("MiB")] = Field(
        default=0, description="Address space a spawned worker may use; 0 is no limit. A GPU needs it at 0."
    )
    sandbox: Literal["auto", "off"] = Field(
        default="auto",
        description="auto: a spawned worker reads what its code needs, writes its caches and has no network, as far as "
        "this kernel can see to it (Landlock, seccomp). off: it can do all that the user can.",
    )
    network: Literal["auto", "off", "on"] = Field(
        default="auto",
        description="In the sandbox. auto: only for Kronos or Toto, and only in a start that has to download their "
        "weights. on: for any backend, always; it may then connect to services of this machine, too.",
    )

"""Where a compiled model stands, and what it takes along from one stage to the next.

| stage    | what it means                                | answers  | left when                         | for        |
| -------- | -------------------------------------------- | -------- | --------------------------------- | ---------- |
| NEW      | it has never been compiled                   | eager    | the warm-up begins                | TRYING     |
|          |                                              |          | the last process died of it, or   | FAILED     |
|          |                                              |          | the machine lacks a compiler      |            |
| TRYING   | compiled, asked and compared the first time  | nobody   | all three went well               | SERVING    |
|          |                                              |          | any of them did not               | FAILED     |
| SERVING  | it gives the forecasts                       | compiled | it fails, or differs from eager   | FAILED     |
|          |                                              |          | there is no time for a comparison | OWING      |
| OWING    | one of its answers is still to be compared   | compiled | it was compared, and is alike     | SERVING    |
|          |                                              |          | it differs, or a forecast fails   | FAILED     |
| FAILED   | it was given up, with a reason               | eager    | `retry_s` have passed             | RETRYING   |
| RETRYING | as TRYING, after a failure                   | nobody   | as TRYING                         | as TRYING  |

"Eager" is nobody where there is no fallback. While one is tried no forecast is asked for: a forecast that comes
meanwhile ends the try (FAILED) and is eager's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from forecasters.base import Forecaster
from forecasters.compiled.likeness import Likeness
from forecasters.types import Context, Forecast


class Stage(Enum):
    NEW = "never compiled"
    TRYING = "being compiled"
    SERVING = "serving"
    OWING = "serving, with a comparison owed"
    FAILED = "failed"
    RETRYING = "being compiled again"

    @property
    def is_idle(self) -> bool:
        """Nothing is compiled, and nothing is being."""
        return self in (Stage.NEW, Stage.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Owed:
    """A comparison that an answer did not wait for: what was said, of what, and what all of it took, where that is to
    be timed."""

    forecasts: Mapping[str, Forecast]
    contexts: Sequence[Context]
    compiled_s: float | None


@dataclass(slots=True, kw_only=True)
class Standing:
    """The stage, and all that changes with it.

    retry_at         when a failed one is tried again, by the guard's clock
    reason           why it does not serve; empty since it does
    announced        the failure that the operator heard of last; empty since it serves
    compiled         from TRYING and RETRYING on, until it is given up
    owed             in OWING
    forecasts        that it has given since it serves
    recompiles_said  of those since it serves, so many have been a notice
    """

    retry_at: float
    stage: Stage = Stage.NEW
    reason: str = "it has not been compiled yet"
    announced: str = ""
    compiled: Forecaster | None = None
    owed: Owed | None = None
    forecasts: int = 0
    recompiles_said: int = 0

    def try_it(self) -> None:
        self.stage = Stage.TRYING if self.stage is Stage.NEW else Stage.RETRYING

    def serve(self) -> None:
        self.stage, self.reason, self.announced = Stage.SERVING, "", ""
        self.forecasts = self.recompiles_said = 0

    def owe(self, owed: Owed) -> None:
        self.stage, self.owed = Stage.OWING, owed

    def settle(self) -> None:
        """What was owed has been compared, well or not."""
        self.stage, self.owed = Stage.SERVING, None

    def fail(self, reason: str, retry_at: float) -> bool:
        """False where the operator has heard of it, and it was only found again when it was tried again."""
        is_news = reason != self.announced
        self.stage, self.reason, self.announced = Stage.FAILED, reason, reason
        self.retry_at = retry_at
        return is_news

    def let_go(self) -> Forecaster | None:
        """The compiled model, to be closed; it is not ours any more."""
        compiled, self.compiled, self.owed = self.compiled, None, None
        if not self.stage.is_idle:
            self.stage = Stage.NEW
        return compiled


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardState:
    """serving       compiled, or eager since it has not served yet or failed
    reason         of the failure; empty where there is none
    retry_in_s     until it may be tried again; None where it serves
    checked        comparisons so far
    last           the latest one; None before any
    times_as_fast  as eager, median of the comparisons in which both were asked all; None before any
    """

    serving: Literal["compiled", "eager"]
    reason: str
    retry_in_s: float | None
    checked: int
    last: Likeness | None
    times_as_fast: float | None

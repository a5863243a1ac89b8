"""What the two networks say given the same past is compared before the compiled one serves, and once a day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install the extra `models`")

from forecasters.compiled.forced import Forced, Outputs
from forecasters.compiled.guard import DAY_S, FALLBACK, Guarded, GuardOptions
from forecasters.compiled.trial import trial_contexts
from forecasters.types import Context, Forecast
from tests.forecasters.compiled.test_guard import CONTEXTS
from tests.forecasters.twins import Compiled, Eager


def logits(contexts: Sequence[Context], bias: float) -> Forced:
    """[8 steps, 20 tokens] of each, the same for the same context but for the bias of one token."""
    table = np.random.default_rng(1).normal(size=(8, 20))
    table[:, 3] += bias
    return {each.symbol: {"logits": Outputs(values=table, kind="logits")} for each in contexts}


class OpenEager(Eager):
    def teacher_forced(self, contexts: Sequence[Context]) -> Forced:
        return logits(contexts, 0.0)


class OpenCompiled(Compiled):
    """`bias` leaves the sampled paths as they are: no draw came out otherwise."""

    bias = 0.0
    gives = True

    def teacher_forced(self, contexts: Sequence[Context]) -> Forced:
        return logits(contexts, self.bias)

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        found = super().forecast(contexts)
        return found if self.gives else {}


class MuteEager(Eager):
    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        return {}


class Days:
    now = 0.0


def guarded(twin: Compiled, eager: Eager, days: Days | None = None) -> Guarded:
    clock = days or Days()
    guard = Guarded(
        name="twin", eager=eager, compile=lambda: twin, trial=lambda: trial_contexts(bars=50, horizons=(4, 4)),
        options=GuardOptions(every=1000, within=2000), clock=lambda: clock.now,
    )  # fmt: skip
    guard.warm_up()
    return guard


def told(guard: Guarded) -> str:
    return "\n".join(notice.text for notice in guard.notices())


@pytest.mark.parametrize(("bias", "serves"), [(0.0, True), (1e-5, True), (0.1, False), (-0.1, False)])
def test_a_bias_that_no_draw_shows_keeps_it_from_serving(bias: float, serves: bool) -> None:
    twin = OpenCompiled()
    twin.bias = bias
    guard = guarded(twin, OpenEager())
    assert (guard.state().serving == "compiled") is serves
    assert ("given the same past, the networks differ in logits" in told(guard)) is not serves


def test_one_that_comes_later_is_noticed_within_a_day() -> None:
    twin, days = OpenCompiled(), Days()
    guard = guarded(twin, OpenEager(), days)
    assert modes(guard) == {"compiled"}
    guard.upkeep()
    twin.bias = 0.1
    assert modes(guard) == {"compiled"}
    guard.upkeep()
    assert modes(guard) == {"compiled"}, "once a day"
    days.now = DAY_S
    assert modes(guard) == {"compiled"}, "the answer does not wait for it"
    guard.upkeep()
    assert modes(guard) == {FALLBACK}
    assert "the networks differ" in told(guard)


def test_where_neither_gives_a_forecast_the_networks_alone_can_certify_it() -> None:
    for twin, eager, serving in ((OpenCompiled(), MuteEager(), "eager"), (OpenCompiled(), OpenMute(), "compiled")):
        twin.gives = False
        assert guarded(twin, eager).state().serving == serving


class OpenMute(MuteEager, OpenEager):
    """No forecast, and outputs."""


def modes(guard: Guarded) -> set[str]:
    return {each.compile_mode for each in guard.forecast(CONTEXTS).values()}

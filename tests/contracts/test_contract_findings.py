"""Each check of the contracts finds what it is there to find: a backend and a strategy for every way to be wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from forecasters import contract as backend_contract
from forecasters import registry
from forecasters.base import Forecaster
from forecasters.checks import problem_of
from forecasters.contract import made_context
from forecasters.types import HIGH, OPEN, Context, Forecast
from tests.packages import install
from trader.cli import cli
from trader.contracts import strategy as strategy_contract
from trader.core.decision import MarketView, Signal
from trader.strategies import Strategy, find
from trader.strategies.edge import Params, Sides, decide

Answer = dict[str, Forecast]
Spoiler = Callable[["Spoilt", Sequence[Context], Answer], Answer]

# ---- backends ----


class Spoilt:
    """The baseline, and what is done to its answers."""

    name = "spoilt"

    def __init__(self, spoil: Spoiler) -> None:
        self.inner, self.spoil = registry.build("baseline", {}), spoil
        self.calls = 0
        self.kept: Any = None

    def warm_up(self) -> None:
        """Nothing."""

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        self.calls += 1
        known = [context for context in contexts if np.isfinite(context.values).all()]
        return self.spoil(self, contexts, dict(self.inner.forecast(known)))

    def close(self) -> None:
        """Nothing."""


def moved(answer: Answer, share: float) -> Answer:
    return {symbol: unjudged(f, quantiles=f.quantiles * (1 + share), paths=None) for symbol, f in answer.items()}


def unjudged(forecast: Forecast, **changes: object) -> Forecast:
    """As a Forecast would refuse to be."""
    made = object.__new__(Forecast)
    for name in Forecast.__dataclass_fields__:
        object.__setattr__(made, name, changes.get(name, getattr(forecast, name)))
    return made


def crossing(forecast: Forecast) -> Forecast:
    table = forecast.quantiles.copy()
    table[3] = table[5]
    return unjudged(forecast, quantiles=table)


def remembered(backend: Spoilt, contexts: Sequence[Context], answer: Answer) -> Answer:
    """The symbol's forecast depends on whether other bars of it were seen."""
    backend.kept = backend.kept or {}
    for context in contexts:
        backend.kept.setdefault(context.symbol, set()).add(context.last_close)
    return {s: moved({s: f}, 1e-6 * len(backend.kept[s]))[s] for s, f in answer.items()}


def scribbling(backend: Spoilt, contexts: Sequence[Context], answer: Answer) -> Answer:
    for context in contexts:
        context.values.flags.writeable = True
        context.values[0, OPEN] *= 1.001
    return answer


def looking_ahead(backend: Spoilt, contexts: Sequence[Context], answer: Answer) -> Answer:
    """Of what lies behind the arrays that it was given, as one that keeps the caller's own could."""
    backend.kept = backend.kept or []
    backend.kept.append(1)
    return moved(answer, 1e-6 * len(backend.kept))


def tag_seen(backend: Spoilt, contexts: Sequence[Context], answer: Answer) -> Answer:
    return {s: moved({s: f}, 1e-6 if "#" in s else 0.0)[s] for s, f in answer.items()}


def late_times(backend: Spoilt, contexts: Sequence[Context], answer: Answer) -> Answer:
    return {c.symbol: moved(answer, 1e-9 * float(c.future_times[-1].astype(int) % 977))[c.symbol] for c in contexts}


def shown_later(backend: Spoilt, contexts: Sequence[Context], answer: Answer) -> Answer:
    """It keeps all bars that it is shown, and knows what came wherever it has seen that."""
    backend.kept = backend.kept or set()
    backend.kept |= {(c.series, at) for c in contexts for at in c.times.tolist()}
    knows = [c.symbol for c in contexts if (c.series, c.future_times[0].item()) in backend.kept]
    return {**answer, **{symbol: moved(answer, 1e-6)[symbol] for symbol in knows}}


def padding(backend: Spoilt, contexts: Sequence[Context], answer: Answer) -> Answer:
    """What is too short is answered all the same."""
    usual = backend.inner.forecast([made_context("BTC/USD", 1, horizon=3)])["BTC/USD"]
    return {**answer, **{c.symbol: usual for c in contexts if c.symbol not in answer}}


BACKENDS: dict[str, Spoiler] = {
    "each symbol gets a forecast of the bars that were asked for": lambda b, c, a: dict(list(a.items())[1:]),
    "a forecast says by whom it is: backend, model as name@revision, dtype, compile mode": lambda b, c, a: {
        s: replace(f, model="mine") for s, f in a.items()
    },
    "quantiles do not cross, reach 10% and 90%, and are bars": lambda b, c, a: {s: crossing(f) for s, f in a.items()},
    "the distribution surrounds the last close": lambda b, c, a: moved(a, 0.5),
    "the same question has the same answer": lambda b, c, a: moved(a, 1e-6 * b.calls),
    "a forecast does not depend on what else is in the batch, nor on the order": lambda b, c, a: moved(
        a, 1e-6 * len(c)
    ),
    "nothing is remembered between calls": remembered,
    "the bars that come, shown before it or beside it, change nothing": shown_later,
    "a tag behind the symbol changes nothing": tag_seen,
    "only the context counts: nothing behind its arrays is looked at": looking_ahead,
    "what comes later in the calendar does not change what comes first": late_times,
    "a symbol with too few bars is absent and harms no other": padding,
    "a context with NaN in it has no forecast": padding,
    "nothing asked, nothing answered": lambda b, c, a: a or dict(b.inner.forecast([made_context("BTC/USD", 1)])),
    "inputs are left as they were": scribbling,
}
WITH_ANOTHER = {
    "one that is built anew says the same",
    "a process of its own says the same, within the deadline",
    "a fresh process says the same alone and in another order, whatever it was shown",
    "closing twice is harmless",
}


def backend_subject(forecaster: Forecaster, name: str = "baseline", **options: object) -> backend_contract.Subject:
    return backend_contract.Subject(name=name, options=options, forecaster=forecaster, deadline_s=1.0)


def test_there_is_a_wrong_backend_for_every_check() -> None:
    assert set(BACKENDS) | WITH_ANOTHER == set(backend_contract.CHECKS)


@pytest.mark.parametrize("check", BACKENDS)
def test_a_check_finds_the_backend_that_does_not_hold_to_it(check: str) -> None:
    assert backend_contract.CHECKS[check](backend_subject(Spoilt(BACKENDS[check])))


def test_one_that_is_built_anew_and_differs_is_found() -> None:
    check = backend_contract.CHECKS["one that is built anew says the same"]
    assert "built again" in check(backend_subject(registry.build("baseline", {"seed": 1}), seed=2))


HANGING = """
    import time
    from pydantic import BaseModel

    class Options(BaseModel):
        depth: int = 1

    def requires():
        return []

    class Slow:
        name = "slow"
        closed = False

        def warm_up(self):
            pass

        def forecast(self, contexts):
            time.sleep(30)
            return {}

        def close(self):
            assert not self.closed
            self.closed = True

    def build(options):
        return Slow()
"""


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    install(tmp_path, "slowness", registry.GROUP, {"slow": "slowness"}, slowness=HANGING)
    return "slow"


def test_one_that_takes_longer_than_its_deadline_is_found(slow: str) -> None:
    check = backend_contract.CHECKS["a process of its own says the same, within the deadline"]
    assert "with 1 s for an answer" in check(backend_subject(registry.build("baseline", {}), slow))


def test_one_that_can_be_closed_only_once_is_found(slow: str) -> None:
    with pytest.raises(AssertionError):
        backend_contract.CHECKS["closing twice is harmless"](backend_subject(registry.build("baseline", {}), slow))


def test_an_error_of_the_backend_is_a_finding_and_the_next_check_is_made() -> None:
    def failing(backend: Spoilt, contexts: Sequence[Context], answer: Answer) -> Answer:
        raise RuntimeError("out of ideas")

    check = backend_contract.CHECKS["the same question has the same answer"]
    problem = problem_of(check, backend_subject(Spoilt(failing)))
    assert problem == "it raised RuntimeError: out of ideas"


def test_options_without_a_rule_of_their_own_are_checked_by_name(slow: str) -> None:
    """pydantic passes over what it does not know unless a model says otherwise."""
    with pytest.raises(registry.RegistryError, match=r"deph: there is no such option, did you mean 'depth'"):
        registry.build(slow, {"deph": 3})


# ---- strategies ----

EAGER = Params(margin_bps=Decimal(0), sampling_errors=0.0, sides=Sides.BOTH)
Decide = Callable[[MarketView, Any], tuple[Signal, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoParams:
    """Nothing to choose."""


@dataclass(slots=True, kw_only=True)
class Thawed:
    depth: int = 1


class Memory:
    calls = 0
    seen: set[str] = set()  # noqa: RUF012 - it is what is wrong with it


def forgetful(view: MarketView, params: object) -> tuple[Signal, ...]:
    Memory.calls += 1
    return noted(view, str(Memory.calls))


def hoarding(view: MarketView, params: object) -> tuple[Signal, ...]:
    Memory.seen |= {str(forecast.quantiles.sum()) for forecast in view.forecasts.values()}
    return noted(view, str(len(Memory.seen)))


def noted(view: MarketView, text: str) -> tuple[Signal, ...]:
    return tuple(Signal(symbol=symbol, entry_side=None, reason=text) for symbol in view.forecasts)


def usual(view: MarketView) -> tuple[Signal, ...]:
    return decide(view, EAGER)


def altered(**changes: object) -> Decide:
    """Every entry with something about it changed."""

    def spoilt(view: MarketView, params: object) -> tuple[Signal, ...]:
        return tuple(
            replace(signal, **changes) if signal.entry_side else signal  # type: ignore[arg-type]
            for signal in usual(view)
        )

    return spoilt


def scribbled(view: MarketView, params: object) -> tuple[Signal, ...]:
    for forecast in view.forecasts.values():
        forecast.quantiles.flags.writeable = True
        forecast.quantiles[..., HIGH] *= 1.0001
    return ()


def blind(view: MarketView, params: object) -> tuple[Signal, ...]:
    """It remembers a quote and a forecast of better days."""
    Memory.last = (usual(view) or Memory.last) if view.quotes and view.forecasts else Memory.last  # type: ignore[attr-defined]
    return Memory.last  # type: ignore[attr-defined,no-any-return]


Memory.last = ()  # type: ignore[attr-defined]
STRATEGIES: dict[str, Decide] = {
    "equal inputs give equal bytes, also after a turn through the journal": forgetful,
    "nothing is remembered from one decision to the next": hoarding,
    "the order in which symbols come decides nothing": lambda v, p: noted(v, next(iter(v.forecasts), "").__str__()),
    "its inputs are left as they were": scribbled,
    "at most one signal a symbol, each with a reason, none at a price for what is held": lambda v, p: usual(v) * 2,
    "every entry has its exits in order, on the tick, and is no short where none is allowed": altered(
        stop=Decimal("99.123456")
    ),
    "the risk layer never refuses the form of its levels": altered(stop=Decimal(1000)),
    "without quotes nothing is entered": blind,
    "without forecasts nothing is entered": blind,
    "it lives with symbols of which one thing or another is missing": lambda v, p: tuple(
        Signal(symbol=s, entry_side=None, reason=str(v.quotes[s].bid)) for s in v.forecasts
    ),
}
OTHERWISE = {
    "Params are frozen, and every default is a valid setting",
    "another process decides the same, whatever its hash seed and threads",
    "it imports no clock, no randomness, no files and no network",
}


def strategy_subject(function: Decide, kind: type[Any] = NoParams, module: str = "") -> strategy_contract.Subject:
    return strategy_contract.Subject(strategy=Strategy("spoilt", kind, function, module=module), params={})


def finding(check: str, subject: strategy_contract.Subject) -> str:
    return problem_of(strategy_contract.CHECKS[check], subject)


def test_there_is_a_wrong_strategy_for_every_check() -> None:
    assert set(STRATEGIES) | OTHERWISE == set(strategy_contract.CHECKS)


@pytest.mark.parametrize("check", STRATEGIES)
def test_a_check_finds_the_strategy_that_does_not_hold_to_it(check: str) -> None:
    subject = strategy_subject(STRATEGIES[check])
    if STRATEGIES[check] is blind:
        subject.plan(subject.situations[4])
    assert finding(check, subject)


def test_params_that_can_change_are_found() -> None:
    assert "not frozen" in finding(
        "Params are frozen, and every default is a valid setting", strategy_subject(forgetful, Thawed)
    )


def test_a_module_that_looks_at_the_clock_is_found() -> None:
    check = "it imports no clock, no randomness, no files and no network"
    assert "random" in finding(check, strategy_subject(forgetful, module="tempfile"))


HASHING = """
    from dataclasses import dataclass
    from trader.core.decision import Signal

    @dataclass(frozen=True)
    class Params:
        pass

    def decide(view, params):
        return tuple(Signal(symbol=s, entry_side=None, reason=str(hash(s.text))) for s in sorted(view.forecasts))
"""


def test_what_differs_from_process_to_process_is_found_by_the_command(tmp_path: Path) -> None:
    from textwrap import dedent

    path = tmp_path / "hashing.py"
    path.write_text(dedent(HASHING))
    answer = CliRunner().invoke(cli, ["strategies", "check", str(path), "--json"], standalone_mode=False)
    assert answer.return_value == 1
    rows = json.loads(answer.stdout)["checks"]
    wrong = [row["check"] for row in rows if not row["ok"]]
    assert wrong == ["another process decides the same, whatever its hash seed and threads"]
    assert find(str(path)).name.startswith(str(path))


# ---- the commands ----


def test_a_sound_backend_passes_by_the_command() -> None:
    answer = CliRunner().invoke(cli, ["backends", "check", "baseline", "--json"], standalone_mode=False)
    assert (answer.exception, answer.return_value) == (None, 0)
    rows = json.loads(answer.stdout)["checks"]
    assert [row["check"] for row in rows] == list(backend_contract.CHECKS)
    assert all(row["ok"] for row in rows)


def test_the_strategies_are_listed_with_their_parameters() -> None:
    answer = CliRunner().invoke(cli, ["strategies", "--json"], standalone_mode=False)
    rows = {row["name"]: row for row in json.loads(answer.stdout)}
    assert {"edge", "flat", "maxdiff"} <= set(rows)
    assert (rows["edge"]["source"], rows["edge"]["problem"]) == ("built in", "")
    assert "margin_bps" in rows["edge"]["params"]

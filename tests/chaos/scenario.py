"""What one seed stands for: a market, how the venue behaves, and a list of troubles, each with its time.

Everything is drawn here, before anything runs. So a trouble can be left out without any other one changing.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

CALM_H = 10.0  # hours without any trouble at the end, in which all must be well again
_QUIET_H = 2.0  # and at the beginning

READS = ("account", "positions", "orders", "lookup", "order", "activities", "instruments", "sessions")
DATA = ("quotes", "bars")
COINS = ("BTC/USD", "ETH/USD", "SOL/USD")
STOCKS = ("SPY", "AAPL")
GATES = {
    "max_day_orders": ("3", "6", "12"),
    "max_day_notional": ("0.2", "0.5", "2"),
    "max_refusals": ("2", "5"),
    "max_losing_exits": ("1", "2", "3"),
}  # by setting of RISK__
FACTORS = ("10", "0.1", "0", "-1", "nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """at, hours  from `at` on, for so long; hours after the market's start
    what        the kind, and where: `fail account`
    chance      how often it strikes while it lasts, of all calls that it is about
    value       what the kind needs besides: a factor, seconds, which code
    """

    what: str
    at: float
    hours: float = 0.0
    symbol: str = ""
    chance: float = 1.0
    value: str = ""

    @property
    def until(self) -> float:
        return self.at + self.hours

    def __str__(self) -> str:
        told = [self.what, self.value, self.symbol]
        often = f", {self.chance:.0%} of the calls" if self.chance < 1 else ""
        span = f" for {self.hours * 60:.1f} min" if self.hours else ""
        return f"{' '.join(each for each in told if each)} at {self.at:.3f} h{span}{often}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`troubles` in the order in which they were drawn: a trouble's number is its place there."""

    seed: int
    symbols: tuple[str, ...]
    timeframe: str
    days: float
    market_seed: int
    jumps_a_day: float
    spread_bps: int
    accept_s: float
    cancel_s: float
    late_fees: bool
    exit_rests: str
    hold: str
    appetite: float  # how often the strategy wants an entry
    reach: float  # how far away target and stop are, as a share of the price
    troubles: tuple[Trouble, ...]
    targets: bool = False  # the strategy wants shares of equity, more, less or none with each bar
    gates: tuple[tuple[str, str], ...] = ()  # limits on what adds up, by the name of their setting

    @property
    def bar_h(self) -> float:
        return {"5Min": 1 / 12, "15Min": 0.25, "1Hour": 1.0}[self.timeframe]

    @property
    def calm_at(self) -> float:
        """Hours after the start from which on all is well."""
        return self.days * 24 - CALM_H

    def only(self, numbers: Collection[int]) -> Scenario:
        """With these of its troubles alone."""
        return replace(self, troubles=tuple(each for n, each in enumerate(self.troubles) if n in numbers))


def scenario_of(seed: int, days: float | None = None) -> Scenario:
    """The same for the same seed and days, whatever else is asked for."""
    dice = random.Random(f"chaos {seed}")
    coins = dice.sample(COINS, dice.choice((1, 1, 2, 2, 3)))
    stocks = dice.sample(STOCKS, dice.choice((0, 0, 0, 1, 2)))
    drawn = days if days is not None else dice.choice((2.0, 3.0, 4.0, 4.0, 5.0, 7.0))
    symbols = tuple(sorted([*coins, *stocks]))
    return Scenario(
        seed=seed,
        symbols=symbols,
        timeframe=dice.choice(("1Hour", "1Hour", "1Hour", "15Min")),
        days=drawn,
        market_seed=dice.randrange(1_000_000),
        jumps_a_day=dice.choice((0.0, 0.0, 1.0, 3.0)),
        spread_bps=dice.choice((4, 10, 20)),
        accept_s=dice.choice((0.0, 0.0, 0.3, 2.0)),
        cancel_s=dice.choice((0.0, 0.0, 0.3, 2.0)),
        late_fees=dice.random() < 0.3,
        exit_rests=dice.choice(("nearest", "nearest", "target", "stop")),
        hold=dice.choice(("carry", "carry", "bar")),
        appetite=dice.choice((0.3, 0.7, 1.0)),
        reach=dice.choice((0.012, 0.02, 0.04)),
        troubles=(*_troubles(dice, symbols, drawn), *_further(seed, symbols, drawn), *_clocks(seed, drawn)),
        targets=random.Random(f"chaos targets {seed}").random() < 1 / 3,
        gates=_gates(seed),
    )


def _troubles(dice: random.Random, symbols: tuple[str, ...], days: float) -> tuple[Trouble, ...]:
    last = max(days * 24 - CALM_H, _QUIET_H)
    count = 1 + min(int(dice.expovariate(1 / (1.5 * days))), int(6 * days))
    found = []
    for _ in range(count):
        at = dice.uniform(_QUIET_H, last)
        trouble = dice.choices(_KINDS, weights=[weight for weight, _ in _MENU])[0](dice, at, dice.choice(symbols))
        found.append(replace(trouble, hours=max(0.0, min(trouble.hours, last - at))))
    return tuple(found)


def _further(seed: int, symbols: tuple[str, ...], days: float) -> Iterator[Trouble]:
    """By dice of their own: what a seed stood for before there were these is in it still."""
    dice, last = random.Random(f"chaos further {seed}"), max(days * 24 - CALM_H, _QUIET_H)
    for _ in range(min(int(dice.expovariate(1 / (0.5 * days))), int(2 * days))):
        at = dice.uniform(_QUIET_H, last)
        trouble = dice.choice(_FURTHER)(dice, at, dice.choice(symbols))
        yield replace(trouble, hours=max(0.0, min(trouble.hours, last - at)))


def _clocks(seed: int, days: float) -> Iterator[Trouble]:
    """The machine's clock is set wrong, and right again. By dice of their own, too."""
    dice, last = random.Random(f"chaos clocks {seed}"), max(days * 24 - CALM_H, _QUIET_H)
    for _ in range(dice.choice((0, 0, 1, 2))):
        at, seconds = dice.uniform(_QUIET_H, last), dice.choice((-3600, -600, -90, 90, 600, 3600))
        yield Trouble(what="clock step", at=at, hours=max(0.0, min(_lasting(dice), last - at)), value=f"{seconds}")


def _gates(seed: int) -> tuple[tuple[str, str], ...]:
    dice = random.Random(f"chaos gates {seed}")
    if dice.random() < 0.5:
        return ()
    chosen = dice.sample(sorted(GATES), dice.choice((1, 1, 2, 4)))
    return tuple((name, dice.choice(GATES[name])) for name in sorted(chosen))


def _lasting(dice: random.Random) -> float:
    """From half a minute to six hours."""
    return math.exp(dice.uniform(math.log(0.5 / 60), math.log(6)))


def _chance(dice: random.Random) -> float:
    return dice.choice((1.0, 1.0, 0.5, 0.1))


def _fails(dice: random.Random, at: float, symbol: str) -> Trouble:
    where = dice.choice((*READS, *DATA, "positions", "quotes", "venue"))
    return Trouble(what=f"fail {where}", at=at, hours=_lasting(dice), chance=_chance(dice))


def _keys(dice: random.Random, at: float, symbol: str) -> Trouble:
    where = dice.choice((*READS, "venue"))
    return Trouble(what=f"keys {where}", at=at, hours=min(_lasting(dice), 0.2), chance=_chance(dice))


def _slow(dice: random.Random, at: float, symbol: str) -> Trouble:
    where = dice.choice((*READS, *DATA, "submit", "cancel"))
    return Trouble(
        what=f"slow {where}", at=at, hours=_lasting(dice), chance=_chance(dice), value=f"{dice.uniform(0.5, 15):.2f}"
    )


def _submits(dice: random.Random, at: float, symbol: str) -> Trouble:
    how = dice.choice(("lost", "unsent", "refuse", "reject", "reject"))
    what, value = f"submit {how}", ""
    if how == "refuse":
        value = dice.choice(("403 40310000", "403 40310100", "403 40310010", "422 42210000", "403 49999999"))
    if how == "reject":
        value = f"{dice.choice((0.0, 0.5, 3.0, 20.0))}"
    whose = dice.choice(("", "exit", "entry"))
    return Trouble(what=f"{what} {whose}".strip(), at=at, hours=_lasting(dice), chance=_chance(dice), value=value)


def _cancels(dice: random.Random, at: float, symbol: str) -> Trouble:
    how = dice.choice(("lost", "unsent", "slow"))
    value = f"{dice.choice((3.0, 30.0, 300.0))}" if how == "slow" else ""
    return Trouble(what=f"cancel {how}", at=at, hours=_lasting(dice), chance=_chance(dice), value=value)


def _lacks(dice: random.Random, at: float, symbol: str) -> Trouble:
    where = dice.choice(("positions", "orders", "activities", "quotes", "bars"))
    return Trouble(what=f"lack {where}", at=at, hours=min(_lasting(dice), 2.0), symbol=symbol, chance=_chance(dice))


def _lags(dice: random.Random, at: float, symbol: str) -> Trouble:
    where = dice.choice(("positions", "orders", "activities"))
    return Trouble(what=f"lag {where}", at=at, hours=_lasting(dice), value=f"{dice.uniform(1, 90):.1f}")


def _figures(dice: random.Random, at: float, symbol: str) -> Trouble:
    which = dice.choice(("equity", "cash", "qty", "mark", "bid", "ask", "quote"))
    factor = dice.choice(FACTORS)
    chance = _chance(dice)
    return Trouble(
        what=f"figure {which}", at=at, hours=min(_lasting(dice), 1.0), symbol=symbol, value=factor, chance=chance
    )


def _quotes(dice: random.Random, at: float, symbol: str) -> Trouble:
    how = dice.choice(("stale", "frozen", "crossed", "swapped"))
    return Trouble(what=f"quote {how}", at=at, hours=_lasting(dice), symbol=symbol, chance=_chance(dice))


def _assets(dice: random.Random, at: float, symbol: str) -> Trouble:
    how = dice.choice(("tick", "lot", "untradable", "halt"))
    return Trouble(what=f"asset {how}", at=at, hours=_lasting(dice), symbol=symbol)


def _journals(dice: random.Random, at: float, symbol: str) -> Trouble:
    how = dice.choice(("away", "away", "full"))
    return Trouble(what=f"journal {how}", at=at, hours=min(_lasting(dice), 1.0), chance=_chance(dice))


def _crashes(dice: random.Random, at: float, symbol: str) -> Trouble:
    """After so many calls of the venue or the journal from then on; `value` is how long the daemon is away."""
    after = dice.randrange(60)
    return Trouble(what=f"crash {after}", at=at, value=f"{dice.choice((1, 5, 60, 600, 7200))}")


def _people(dice: random.Random, at: float, symbol: str) -> Trouble:
    what = dice.choice(("buys", "sells", "bids", "asks", "cancels"))
    return Trouble(what=f"person {what}", at=at, hours=dice.uniform(0.1, 5.0), symbol=symbol, value=f"{dice.random()}")


def _commands(dice: random.Random, at: float, symbol: str) -> Trouble:
    """And a `resume` when its time is over."""
    what = dice.choice(("pause", "flatten", "flatten", "kill", "resume"))
    return Trouble(what=f"command {what}", at=at, hours=dice.uniform(0.1, 5.0), symbol=symbol)


def _plug_ins(dice: random.Random, at: float, symbol: str) -> Trouble:
    what = dice.choice(("forecast", "strategy"))
    return Trouble(what=f"fail {what}", at=at, hours=_lasting(dice), chance=_chance(dice))


def _money(dice: random.Random, at: float, symbol: str) -> Trouble:
    """A share of the cash comes in or goes out; a person says so a while later, where they are asked."""
    what, share = dice.choice((("deposits", 0.5), ("withdraws", 0.15)))
    return Trouble(what=f"money {what}", at=at, hours=dice.uniform(0.5, 3.0), value=f"{dice.uniform(0.01, share):.4f}")


def _accepting(dice: random.Random, at: float, symbol: str) -> Trouble:
    seconds = dice.choice((5.0, 20.0, 60.0))
    return Trouble(what="accept slow", at=at, hours=_lasting(dice), chance=_chance(dice), value=f"{seconds}")


def _mute(dice: random.Random, at: float, symbol: str) -> Trouble:
    """The stream tells of no fill: the daemon finds out when it asks."""
    return Trouble(what="stream mute", at=at, hours=min(_lasting(dice), 1.0))


def _hangs(dice: random.Random, at: float, symbol: str) -> Trouble:
    """The forecaster does not answer, and is given up after so many seconds."""
    seconds = dice.choice((20, 120, 600))
    return Trouble(what="hang forecast", at=at, hours=_lasting(dice), chance=_chance(dice), value=f"{seconds}")


_FURTHER: tuple[Callable[[random.Random, float, str], Trouble], ...] = (_money, _accepting, _mute, _hangs)
_MENU: tuple[tuple[float, Callable[[random.Random, float, str], Trouble]], ...] = (
    (4, _fails), (1, _keys), (2, _slow), (4, _submits), (2, _cancels), (3, _lacks), (3, _lags), (4, _figures),
    (2, _quotes), (2, _assets), (1, _journals), (5, _crashes), (2, _people), (1, _commands), (1, _plug_ins),
)  # fmt: skip
_KINDS = [kind for _, kind in _MENU]

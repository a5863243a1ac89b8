"""A market that was never recorded: bars that behave like real ones, the same ones for the same seed.

Each bar's volatility is the product of a level, a rhythm (hour of the day, day of the week) and the exponential of a
slow and a fast mean-reverting process; the return is a normal one of a random variance (so its tails are fat), now
and then a jump on top. High and low come from a path inside the bar that ends at the return. Pairs share one driver,
stocks another. The spread widens with the volatility that was known at the bar's open.

Bars are made in chunks of whole UTC days, each from its own random stream: the market at a moment depends on the
options only, not on when it was asked. Levels are those of hourly BTC, ETH and SPY.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trader.core.types import AssetClass, Symbol, Timeframe
from trader.exchange.market.files import Columns, Floats, Micros
from trader.exchange.market.series import length_of
from trader.exchange.market.sessions import DAY_US, Sessions, playing_times

_HOUR_US = 3_600_000_000
_OPENS_AT_US = 9 * _HOUR_US + _HOUR_US // 2  # after midnight in New York, where the venue's days of stocks are stamped
_CHUNK_BARS = 4096
_STEPS = 24  # of the path inside a bar
_WANDER = 1.12  # real bars range a little further than a Brownian path of the same return
_BRIDGE_BIAS = 0.5826 / np.sqrt(_STEPS)  # a path seen at steps misses this much of each extreme, in units of its vol
_FREEDOM = 8.0  # of the mixing variance: returns given the volatility are Student-t

_WORST = 4.0  # the most that a bar's volatility can surprise

# half-life in hours, stationary deviation of log volatility
_SLOW = (150.0, 0.44)
_FAST = (6.0, 0.42)
_JUMPS_A_DAY = 0.05
_JUMP_SIZE = 3.0  # times the hour's volatility

# relative volatility by UTC hour and by weekday (Monday first): the day of a market that never closes
_CRYPTO_HOURS = np.array(
    [1.05, 0.95, 0.9, 0.85, 0.8, 0.78, 0.8, 0.88, 0.95, 0.93, 0.92, 0.97,
     1.1, 1.3, 1.45, 1.4, 1.25, 1.15, 1.1, 1.1, 1.1, 1.0, 0.95, 1.0]
)  # fmt: skip
_CRYPTO_DAYS = np.array([1.05, 1.05, 1.1, 1.1, 1.1, 0.75, 0.8])
_STOCK_OPENING = 1.7  # the session's first half hour against its middle
_STOCK_CLOSING = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Character:
    """price at the beginning, volatility of one hour (log), units traded an hour, share of variance that is common."""

    price: float
    hourly_vol: float
    hourly_units: float
    common: float


_CHARACTERS = {
    "BTC/USD": _Character(price=43_500.0, hourly_vol=0.0048, hourly_units=900.0, common=0.8),
    "ETH/USD": _Character(price=2_320.0, hourly_vol=0.0060, hourly_units=12_000.0, common=0.75),
    "SOL/USD": _Character(price=95.0, hourly_vol=0.0088, hourly_units=150_000.0, common=0.6),
    "DOGE/USD": _Character(price=0.081, hourly_vol=0.0080, hourly_units=3.0e7, common=0.55),
    "SPY": _Character(price=468.0, hourly_vol=0.0025, hourly_units=1.0e7, common=0.85),
    "QQQ": _Character(price=398.0, hourly_vol=0.0032, hourly_units=7.0e6, common=0.8),
    "AAPL": _Character(price=184.0, hourly_vol=0.0038, hourly_units=8.0e6, common=0.5),
}
_OTHER_PAIR = _Character(price=25.0, hourly_vol=0.0075, hourly_units=200_000.0, common=0.6)
_OTHER_STOCK = _Character(price=120.0, hourly_vol=0.0040, hourly_units=2.0e6, common=0.4)


class Generator:
    """One symbol's endless bars, a chunk at a time, from the chunk that contains `origin` on."""

    def __init__(
        self,
        symbol: Symbol,
        timeframe: Timeframe,
        *,
        seed: int,
        origin_us: int,
        spread_bps: float,
        sessions: Sessions,
    ) -> None:
        self._symbol = symbol
        self._stock = symbol.asset_class is AssetClass.STOCK
        other = _OTHER_STOCK if self._stock else _OTHER_PAIR
        self._character = _CHARACTERS.get(symbol.text, other)
        self._length_us = length_of(timeframe)
        self._days = max(1, round(_CHUNK_BARS * self._length_us / DAY_US))
        self._seed = seed
        self._spread_bps = spread_bps
        self._sessions = sessions
        self._chunk = origin_us // (self._days * DAY_US)
        self._log_price = float(np.log(self._character.price))
        # log-volatility states: common slow, common fast, own fast
        self._states = [0.0, 0.0, 0.0]

    def next_chunk(self) -> Columns:
        """The bars that follow those already made. A chunk of a stock may be empty (holidays)."""
        grid = self._grid()
        common, own = self._stream("", self._chunk), self._stream(self._symbol.text, self._chunk)
        draws = self._draw(len(grid), common, own)
        self._chunk += 1
        starts, ends = self._trading(grid)
        trading_rows = np.flatnonzero(ends > starts)
        stamps = starts - _OPENS_AT_US if self._stock and self._length_us >= DAY_US else grid
        return self._bars(stamps[trading_rows], starts[trading_rows], ends[trading_rows], draws.only(trading_rows), own)

    def _grid(self) -> Micros:
        begin = self._chunk * self._days * DAY_US
        return np.arange(begin, begin + self._days * DAY_US, self._length_us, dtype=np.int64)

    def _stream(self, name: str, chunk: int) -> np.random.Generator:
        """A stream of the market (its class's) or of one symbol, for one chunk: no chunk needs another's draws."""
        name = name or ("stocks" if self._stock else "pairs")
        return np.random.default_rng([self._seed, zlib.crc32(name.encode()), chunk])

    def _trading(self, grid: Micros) -> tuple[Micros, Micros]:
        """When each bar of the grid trades; an empty span outside of a stock's sessions."""
        if not self._stock:
            return grid, grid + self._length_us
        starts, ends = playing_times(grid, self._length_us, self._sessions)
        middle = (starts + ends) // 2
        opens, closes = (
            np.array(side, dtype=np.int64) for side in self._sessions.between(int(grid[0]), int(grid[-1]) + DAY_US)
        )
        place = np.searchsorted(opens, middle, side="right") - 1
        inside = (place >= 0) & (middle < closes[np.maximum(place, 0)]) if len(opens) else np.zeros(len(grid), bool)
        return starts, np.where(inside, ends, starts)

    def _draw(self, count: int, common: np.random.Generator, own: np.random.Generator) -> _Draws:
        hours = self._length_us / _HOUR_US
        slow = self._revert(0, common.standard_normal(count), hours, *_SLOW)
        fast = self._revert(1, common.standard_normal(count), hours, *_FAST)
        mine = self._revert(2, own.standard_normal(count), hours, *_FAST)
        share = self._character.common
        normal = np.sqrt(share) * common.standard_normal(count) + np.sqrt(1 - share) * own.standard_normal(count)
        # the bar's variance is drawn once for all: what shakes one pair shakes the others
        mixture = np.minimum(np.sqrt((_FREEDOM - 2) / common.chisquare(_FREEDOM, count)), _WORST)
        has_jump = common.random(count) < _JUMPS_A_DAY * hours / 24
        jump = np.where(has_jump, _JUMP_SIZE * common.standard_normal(count) / np.sqrt(min(hours, 1.0)), 0.0)
        log_vol = slow + 0.8 * fast + 0.6 * mine
        return _Draws(known=log_vol, mixing=mixture, normal=normal, jump=jump)

    def _revert(self, state: int, shocks: Floats, hours: float, half_life: float, deviation: float) -> Floats:
        """A mean-reverting (Ornstein-Uhlenbeck) path, carried from chunk to chunk."""
        keep = float(0.5 ** (hours / half_life))
        scale = deviation * float(np.sqrt(1 - keep * keep))
        value = self._states[state]
        path = []
        for shock in shocks.tolist():
            value = keep * value + scale * shock
            path.append(value)
        self._states[state] = value
        return np.array(path)

    def _bars(self, times: Micros, starts: Micros, ends: Micros, draws: _Draws, own: np.random.Generator) -> Columns:
        count = len(times)
        hours = (ends - starts) / _HOUR_US
        rhythm = self._rhythm(starts, ends)
        expected = self._character.hourly_vol * np.sqrt(hours) * rhythm * np.exp(draws.known)
        vol = expected * draws.mixing
        returns = vol * draws.normal + expected * draws.jump
        top, bottom = _extremes(returns, vol, own)
        gaps = self._gaps(starts, ends, expected, hours, own)
        closes = self._log_price + np.cumsum(returns + gaps)
        opens = closes - returns
        if count:
            self._log_price = float(closes[-1])
        busy = rhythm * np.exp(0.9 * draws.known + 0.35 * own.standard_normal(count) - 0.3)
        units = self._character.hourly_units * hours * busy * np.sqrt(np.maximum(vol / expected, 0.2))
        return Columns(
            times=times,
            open=np.exp(opens),
            high=np.exp(opens + top),
            low=np.exp(opens + bottom),
            close=np.exp(closes),
            volume=units,
            spread_bps=self._spread_bps * np.clip(np.exp(0.6 * draws.known) * np.sqrt(rhythm), 0.4, 6.0),
        )

    def _rhythm(self, starts: Micros, ends: Micros) -> Floats:
        """Volatility against its usual level, by the clock."""
        middle = (starts + ends) // 2
        if not self._stock:
            if self._length_us >= DAY_US:
                return np.asarray(_CRYPTO_DAYS[_weekday(middle)])
            return np.asarray(_CRYPTO_HOURS[(middle % DAY_US) // _HOUR_US] * _CRYPTO_DAYS[_weekday(middle)])
        opens, closes = (np.array(s, dtype=np.int64) for s in self._around(middle))
        if not len(opens) or self._length_us >= DAY_US:
            return np.ones(len(middle))
        place = np.searchsorted(opens, middle, side="right") - 1
        done = (middle - opens[place]) / (closes[place] - opens[place])
        return (
            0.85 + (_STOCK_OPENING - 0.85) * np.exp(-done / 0.12) + (_STOCK_CLOSING - 0.85) * np.exp((done - 1) / 0.1)
        )

    def _around(self, moments: Micros) -> tuple[list[int], list[int]]:
        return self._sessions.between(int(moments[0]), int(moments[-1])) if len(moments) else ([], [])

    def _gaps(self, starts: Micros, ends: Micros, expected: Floats, hours: Floats, own: np.random.Generator) -> Floats:
        """What the price does while a stock is closed, as a step before the next open."""
        draws = own.standard_normal(len(starts))
        if not self._stock or not len(starts):
            return np.zeros(len(starts))
        after_close = np.concatenate([[True], starts[1:] > ends[:-1]])
        overnight = self._character.hourly_vol * 1.6  # about half of a session's movement
        return np.where(
            after_close, overnight * draws * np.minimum(expected / np.sqrt(hours) / expected.mean(), 2.0), 0.0
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draws:
    """[T] each. known: log volatility before the bar; mixing: its surprise; normal, jump: the return's, in units."""

    known: Floats
    mixing: Floats
    normal: Floats
    jump: Floats

    def only(self, kept: NDArray[np.intp]) -> _Draws:
        return _Draws(known=self.known[kept], mixing=self.mixing[kept], normal=self.normal[kept], jump=self.jump[kept])


def _extremes(returns: Floats, vol: Floats, own: np.random.Generator) -> tuple[Floats, Floats]:
    """(highest, lowest) of a path from 0 to the return, in logs: a Brownian bridge of the bar's volatility."""
    steps = own.standard_normal((len(returns), _STEPS)).cumsum(axis=1) / np.sqrt(_STEPS)
    fractions = np.arange(1, _STEPS + 1) / _STEPS
    path = (steps - fractions * steps[:, -1:]) * (_WANDER * vol[:, None]) + fractions * returns[:, None]
    reach = _BRIDGE_BIAS * vol
    top = np.maximum(path.max(axis=1, initial=0.0) + reach * own.random(len(returns)) * 2, np.maximum(returns, 0.0))
    bottom = np.minimum(path.min(axis=1, initial=0.0) - reach * own.random(len(returns)) * 2, np.minimum(returns, 0.0))
    return top, bottom


def _weekday(moments: Micros) -> NDArray[np.int64]:
    """Monday is 0; 1970 began on a Thursday."""
    return (moments // DAY_US + 3) % 7

"""Playing one symbol: its bars phase by phase, each with the book of that moment.

Inside a bar nobody knows the book: it is modelled around the phase's price and marked synthetic. At a bar's open the
recorded quote is shown as it was recorded, whatever it was. Nobody trades on a book that is more than one bar old.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from trader.core.types import ZERO, Instrument, Quote, Symbol
from trader.core.values import maker, quick
from trader.exchange.engine.events import Phase, Tape
from trader.exchange.market.files import QuoteColumns, from_micros, to_micros
from trader.exchange.market.series import PHASES, Series

_new_tape = maker(Tape)
_new_quote = maker(Quote)
# of a bar's volume: at the open, towards each extreme, and the rest towards the close
_SHARES = (Decimal("0.1"), Decimal("0.3"), Decimal("0.3"))
_DEPTH = Decimal("0.02")  # of the volume of the bar before (its own is not known yet), at the best price of each side
_TWO_SIDES_BPS = Decimal(20_000)
_RECORDED_STANDS = timedelta(seconds=30)  # as long as a quote may be old for an entry, by the settings' default
_PHASES = tuple(Phase)  # by their numbers


def told_at(tape: Tape, now: datetime) -> datetime:
    """The moment that the tape's book is told of later in its phase, while its market is open and moves.

    A modelled book has no updates that could be dated: it is of this moment. A recorded quote is told as it was while
    that can be called the latest; later in the phase it is what the venue still trades on, but nobody recorded it so:
    a model, as old as the quote was when the phase began.
    """
    assert tape.quote is not None
    since = now - tape.at
    return tape.quote.at + since if tape.quote.synthetic or since > _RECORDED_STANDS else tape.quote.at


def dated(quote: Quote, at: datetime) -> Quote:
    """The same book, modelled for another moment."""
    return _new_quote(
        symbol=quote.symbol,
        bid=quote.bid,
        ask=quote.ask,
        bid_size=quote.bid_size,
        ask_size=quote.ask_size,
        at=at,
        source=quote.source,
        synthetic=True,
    )


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class _Bar:
    """One bar in the venue's decimals, as far as its open shows it.

    half  half the modelled spread, as a fraction of the price
    size  modelled, units at the best price of each side
    """

    start: datetime
    open: Decimal
    volume: Decimal
    half: Decimal
    size: Decimal


_new_bar = maker(_Bar)


class _Rest(NamedTuple):
    """The rest of its prices: made where they are played, as of a bar on which nothing waits only the open is."""

    high: Decimal
    low: Decimal
    close: Decimal

    def corners(self, opened: Decimal, low_first: bool) -> tuple[Decimal, Decimal, Decimal, Decimal]:
        """The price at each phase."""
        if low_first:
            return (opened, self.low, self.high, self.close)
        return (opened, self.high, self.low, self.close)


class Reel:
    """One symbol's bars and quotes, as tapes.

    source    of the modelled books
    uncapped  the bars come without volumes
    is_open   whether the regular session runs at a moment (microseconds); None: there are no sessions
    """

    def __init__(
        self,
        series: Series,
        instrument: Instrument,
        *,
        quotes: QuoteColumns | None,
        spread_bps: Decimal,
        source: str,
        uncapped: bool = False,
        is_open: Callable[[int], bool] | None = None,
    ) -> None:
        self.series = series
        self.symbol: Symbol = series.symbol
        self._instrument = instrument
        self._quotes = quotes
        self._half = spread_bps / _TWO_SIDES_BPS
        self._source = source
        self._uncapped = uncapped
        self._is_open = is_open
        self._fresh = timedelta(microseconds=series.length_us)
        self._last: tuple[int, _Bar] | None = None
        self._last_rest: tuple[int, _Rest] | None = None
        self._low_first: tuple[int, bool] | None = None

    def tape(self, at_us: int, low_first: Callable[[Symbol], bool]) -> Tape | None:
        """The tape of exactly that moment, or None where the symbol has no phase then."""
        place = self.series.phase_at(at_us)
        if place is None:
            return None
        index, phase = place[0], _PHASES[place[1]]
        bar = self._bar(index)
        if phase is Phase.OPEN:
            price = price_before = bar.open
        else:
            corners = self._rest(index).corners(bar.open, self._lows_first(index, low_first))
            price, price_before = corners[phase], corners[phase - 1]
        at = from_micros(at_us)
        quote = self._book(bar, price, at, at_us, recorded=phase is Phase.OPEN)
        return _new_tape(
            symbol=self.symbol,
            at=at,
            bar_start=bar.start,
            phase=phase,
            low=price if price < price_before else price_before,
            high=price if price > price_before else price_before,
            last=price,
            volume=self._volume(bar, phase),
            quote=quote,
            uncapped=self._uncapped,
            regular=self._is_open is None or self._is_open(at_us),
            fresh_until=None if quote is None else quote.at + self._fresh,
        )

    def resume(self, tape: Tape) -> None:
        """Remember, after a restart, which extreme this bar showed first."""
        found = self.series.phase_at(to_micros(tape.at))
        if found is None or tape.phase not in (Phase.FIRST, Phase.SECOND):
            return
        rest = self._rest(found[0])
        self._low_first = (found[0], tape.last == (rest.low if tape.phase is Phase.FIRST else rest.high))

    def quote(self, at_us: int) -> Quote | None:
        """The book then, from the data alone: that of the open until the close is near, as the path is not known."""
        place = self.series.latest_phase(at_us)
        if place is None:
            return None
        index, phase = place
        is_close = phase == Phase.CLOSE
        bar = self._bar(index)
        moment = int(self.series.moments[index * PHASES + (Phase.CLOSE if is_close else Phase.OPEN)])
        price = self._rest(index).close if is_close else bar.open
        return self._book(bar, price, from_micros(moment), moment, recorded=not is_close)

    def _lows_first(self, index: int, ask: Callable[[Symbol], bool]) -> bool:
        if self._low_first is None or self._low_first[0] != index:
            self._low_first = (index, ask(self.symbol))
        return self._low_first[1]

    def _bar(self, index: int) -> _Bar:
        if self._last is None or self._last[0] != index:
            self._last = (index, self._make_bar(index))
        return self._last[1]

    def _rest(self, index: int) -> _Rest:
        if self._last_rest is None or self._last_rest[0] != index:
            columns = self.series.columns
            prices = (columns.high[index], columns.low[index], columns.close[index])
            self._last_rest = (index, _Rest(*[self._price(float(price)) for price in prices]))
        return self._last_rest[1]

    def _make_bar(self, index: int) -> _Bar:
        columns = self.series.columns
        half = self._half
        if columns.spread_bps is not None:
            half = Decimal(f"{columns.spread_bps[index]:.4f}") / _TWO_SIDES_BPS
        return _new_bar(
            start=from_micros(int(columns.times[index])),
            open=self._price(float(columns.open[index])),
            volume=self._units(index),
            half=half,
            size=max(self._instrument.qty_down(self._units(max(index - 1, 0)) * _DEPTH), self._instrument.min_qty),
        )

    def _units(self, index: int) -> Decimal:
        if self._last is not None and self._last[0] == index:
            return self._last[1].volume
        return Decimal(repr(float(self.series.columns.volume[index]))).quantize(self._instrument.lot)

    def _price(self, value: float) -> Decimal:
        price = Decimal(repr(value))
        return price.quantize(self._instrument.tick_at(price))

    def _volume(self, bar: _Bar, phase: Phase) -> Decimal:
        """A phase's share, on the lot; the last one takes what is left, so that they add up."""
        if phase is not Phase.CLOSE:
            return self._instrument.qty_down(bar.volume * _SHARES[phase])
        return bar.volume - sum([self._instrument.qty_down(bar.volume * share) for share in _SHARES], ZERO)

    def _book(self, bar: _Bar, price: Decimal, at: datetime, at_us: int, *, recorded: bool) -> Quote | None:
        if self._quotes is None:
            return self._modelled(price, bar.half, (bar.size, bar.size), at, self._source)
        recorded_quote = self._recorded(self._quotes, at_us)
        if recorded_quote is None or recorded:
            return recorded_quote
        usable = ZERO < recorded_quote.bid < recorded_quote.ask
        half = (
            (recorded_quote.ask - recorded_quote.bid) / (recorded_quote.ask + recorded_quote.bid)
            if usable
            else bar.half
        )
        smallest = self._instrument.min_qty
        sizes = (max(recorded_quote.bid_size, smallest), max(recorded_quote.ask_size, smallest))
        return self._modelled(price, half, sizes, at, "replay")

    def _modelled(
        self, mid: Decimal, half: Decimal, sizes: tuple[Decimal, Decimal], at: datetime, source: str
    ) -> Quote:
        """Rounded outwards; never zero, never locked, however small the price."""
        instrument = self._instrument
        bid = max(instrument.price_down(mid * (1 - half)), instrument.sub_dollar_tick or instrument.tick)
        ask = instrument.price_up(mid * (1 + half))
        if ask <= bid:
            ask = bid + instrument.tick_at(bid)
        return _new_quote(
            symbol=self.symbol,
            bid=bid,
            ask=ask,
            bid_size=sizes[0],
            ask_size=sizes[1],
            at=at,
            source=source,
            synthetic=True,
        )

    def _recorded(self, quotes: QuoteColumns, at_us: int) -> Quote | None:
        """The latest quote that was known then, as it was recorded."""
        place = int(quotes.known.searchsorted(at_us, side="right")) - 1
        if place < 0:
            return None
        bid, ask, bid_size, ask_size = (
            Decimal(repr(float(side[place]))) for side in (quotes.bid, quotes.ask, quotes.bid_size, quotes.ask_size)
        )
        return _new_quote(
            symbol=self.symbol,
            bid=bid,
            ask=ask,
            bid_size=bid_size,
            ask_size=ask_size,
            at=from_micros(int(quotes.known[place])),
            source="replay",
        )

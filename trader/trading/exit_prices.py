"""The quotes of what is held, fetched and judged: what each position may be left by now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from trader.core.decision import ExitPolicy
from trader.core.exit_price import Judged, Seen, judge
from trader.core.quotes import price_problem
from trader.core.types import Portfolio, Position, Quote, Symbol
from trader.errors import Transient
from trader.trading.ports import Clock, MarketData
from trader.trading.status import Board

_NOTHING_SEEN = Seen()


@dataclass(slots=True, kw_only=True)
class ExitPrices:
    """To be called with the desk's lock held."""

    market: MarketData
    clock: Clock
    board: Board
    alert: Callable[[str, str, str], None]
    _last: dict[Symbol, Quote] = field(default_factory=dict)  # one failed request must not leave us without a price
    _seen: dict[Symbol, Seen] = field(default_factory=dict)
    _restated: dict[Symbol, datetime] = field(default_factory=dict)  # the new units that a quote was seen in

    def quotes(self, portfolio: Portfolio, fresh: Mapping[Symbol, Quote]) -> dict[Symbol, Quote]:
        """Those that can be prices at all, the last known where there is no newer one.

        fresh  just fetched; those of other positions are fetched here
        """
        unquoted_symbols = sorted(symbol for symbol in portfolio.positions if symbol not in fresh)
        latest_quotes = dict(fresh)
        if unquoted_symbols:
            try:
                latest_quotes |= self.market.quotes(unquoted_symbols)
            except Transient as error:
                self.board.say("venue", f"quotes: {error}")
        self.board.quotes = {**self.board.quotes, **latest_quotes}
        possible = {symbol: quote for symbol, quote in latest_quotes.items() if price_problem(quote) is None}
        for symbol in [each for each in self._seen if each not in portfolio.positions]:
            if self._seen.pop(symbol).jumped_at is not None:
                self.alert("price", "info", f"{symbol}: over, it is not held any more")
        for symbol in [each for each in self._last if each not in portfolio.positions]:
            del self._last[symbol]
        self._last |= possible
        return dict(self._last)

    def judged(
        self, position: Position, quote: Quote | None, policy: ExitPolicy, new_units: Mapping[Symbol, datetime]
    ) -> Judged:
        """Told once where a price is not to be believed, and when that is over.

        new_units  since when a position is in other units, as after a split: a mark or a price of before is none
        """
        new_units_since = new_units.get(position.symbol)
        if new_units_since is not None and self._restated.get(position.symbol) != new_units_since:
            if quote is None:
                return Judged(problem="in new units: a quote is waited for")
            self._restated[position.symbol] = new_units_since
            self._seen[position.symbol] = Seen(price=quote.mid)
        symbol, seen_before = position.symbol, self._seen.get(position.symbol, _NOTHING_SEEN)
        judgement, seen_now = judge(seen_before, quote, position, policy, self.clock.now(), self.clock.monotonic())
        self._seen[symbol] = seen_now
        if seen_before.jumped_at is None and seen_now.jumped_at is not None:
            text = f"{symbol}: {judgement.problem}: nothing is sold at the market on it, the stop rests"
            self.alert("price", "warning", text)
        elif seen_before.jumped_at is not None and seen_now.jumped_at is None:
            source = "quote" if judgement.quote is not None else "mark"
            self.alert("price", "info", f"{symbol}: over, it is left by its {source} again")
        return judgement

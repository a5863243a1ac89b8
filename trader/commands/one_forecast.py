"""`trader forecast`: one forecast of one symbol, from the venue's bars or from a file, shown three ways."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from shutil import get_terminal_size

from forecasters.base import ForecastError
from forecasters.types import CHANNELS, CLOSE, HIGH, LOW, OPEN, Forecast
from settings.load import Loaded
from settings.schema import Settings
from trader.core.market import Bars, to_datetime
from trader.core.types import AssetClass, Symbol, Timeframe
from trader.daemon.forecaster import check_backend
from trader.errors import ConfigurationError, VenueUnreachable
from trader.research.forecasts.one import Seen, forecast_of
from trader.trading.ports import Broker

SHOWN = (0.1, 0.5, 0.9)
HEIGHT, PAST, AHEAD = 18, 48, 24  # of the chart: rows, columns of closes at most, columns that a short fan is drawn to
LEAST_PAST = 8  # columns of closes, however narrow it is
WHOLE_TABLE = 117  # columns of the table
SCALE = 16  # columns of prices
NO_TERMINAL = (100, 24)
SESSIONS_AHEAD = timedelta(days=30)


def show(loaded: Loaded, *, file: Path | None, plot: bool, as_json: bool) -> None:
    """Raises ConfigurationError, VenueUnreachable."""
    if len(loaded.settings.trading.symbols) > 1:
        raise ConfigurationError(f"{','.join(loaded.settings.trading.symbols)}: one symbol at a time; right: one name")
    check_backend(loaded.settings)
    seen = _of_file(loaded.settings, file) if file is not None else _of_venue(loaded)
    try:
        forecast = forecast_of(loaded.settings, seen)
    except ForecastError as error:
        raise ConfigurationError(f"no forecast: {error}") from error
    if as_json:
        print(json.dumps(as_plain(forecast)))
        return
    if plot:
        print(fan_chart(seen.bars, forecast, get_terminal_size(NO_TERMINAL).columns), end="\n\n")
    print(table(forecast, get_terminal_size((WHOLE_TABLE, 24)).columns))


def _of_file(settings: Settings, file: Path) -> Seen:
    from trader.research.data.newest_bars import newest_bars

    bars, sessions = newest_bars(Symbol(settings.trading.symbols[0]), file, settings.trading.context)
    return Seen(bars=bars, sessions=sessions)


def _of_venue(loaded: Loaded) -> Seen:
    """The newest CONTEXT bars: of the venue, or of the simulated exchange that is started for it."""
    from trader.adapters.alpaca.broker import AlpacaBroker
    from trader.adapters.alpaca.clients import build_clients, no_pace
    from trader.adapters.alpaca.data import AlpacaMarketData
    from trader.adapters.clock import RealClock, SimClock
    from trader.daemon.account import endpoints_of
    from trader.daemon.simulation import start_once
    from trader.errors import Transient

    settings = loaded.settings
    symbol, timeframe = Symbol(settings.trading.symbols[0]), Timeframe.parse(settings.trading.timeframe)
    with ExitStack() as stack:
        endpoints = endpoints_of(settings) or start_once(settings, stack).endpoints
        clients = build_clients(endpoints, pace=no_pace)
        try:
            if settings.trading.trading_mode == "sim":
                sim_clock = SimClock(endpoints.trading_url, key=endpoints.key, secret=endpoints.secret)
                stack.callback(sim_clock.close)
                now: datetime = sim_clock.now()
            else:
                now = AlpacaBroker(clients, RealClock()).venue_time()
            bars_by_symbol = AlpacaMarketData(clients).bars(
                [symbol], timeframe, end=now, count=settings.trading.context
            )
            sessions = (
                [] if symbol.asset_class is AssetClass.CRYPTO else _sessions(AlpacaBroker(clients, RealClock()), now)
            )
        except Transient as error:
            raise VenueUnreachable(f"no bars: {error}") from error
    if symbol not in bars_by_symbol:
        raise ConfigurationError(f"the venue has no {timeframe} bars of {symbol}")
    return Seen(bars=bars_by_symbol[symbol], sessions=sessions)


def _sessions(broker: Broker, now: datetime) -> list[tuple[datetime, datetime]]:
    return [(each.open, each.close) for each in broker.sessions(now, now + SESSIONS_AHEAD)]


def table(forecast: Forecast, columns: int = WHOLE_TABLE) -> str:
    """One line a bar: the median open, and 10%, 50% and 90% of the other channels, in the quote currency.

    columns  of the terminal: in a narrow one low and high are their medians
    """
    whole = columns >= WHOLE_TABLE
    shown = {LOW: SHOWN if whole else (0.5,), CLOSE: SHOWN, HIGH: SHOWN if whole else (0.5,)}
    widths = {channel: 30 if len(levels) > 1 else 11 for channel, levels in shown.items()}
    heads = (f"{CHANNELS[c] + ' ' + ' / '.join(f'{q:.0%}' for q in shown[c]):>{widths[c]}}" for c in shown)
    lines = [
        f"{forecast.symbol} by {forecast.backend} ({forecast.model}, {forecast.dtype}, {forecast.compile_mode}) "
        f"as of {forecast.asof:%Y-%m-%d %H:%M} UTC, last close {forecast.last_close:g}, {forecast.latency_s:.3f} s",
        f"{'bar, UTC':<16}{'open 50%':>11}" + "".join(heads),
    ]
    for step, moment in enumerate(forecast.times):
        cells = (
            f"{' / '.join(f'{forecast.quantile(q, step, c):.6g}' for q in levels):>{widths[c]}}"
            for c, levels in shown.items()
        )
        opening = f"{forecast.quantile(0.5, step, OPEN):>11.6g}"
        lines.append(f"{to_datetime(moment):%Y-%m-%d %H:%M}{opening}" + "".join(cells))
    return "\n".join(lines)


def as_plain(forecast: Forecast) -> dict[str, object]:
    """For JSON; quantiles [Q, H, C]."""
    return {
        "symbol": forecast.symbol,
        "asof": forecast.asof.isoformat(),
        "times": [to_datetime(moment).isoformat() for moment in forecast.times],
        "last_close": forecast.last_close,
        "channels": list(CHANNELS),
        "levels": forecast.levels.tolist(),
        "quantiles": forecast.quantiles.tolist(),
        "paths": None if forecast.paths is None else len(forecast.paths),
        "backend": forecast.backend,
        "model": forecast.model,
        "dtype": forecast.dtype,
        "compile_mode": forecast.compile_mode,
        "latency_s": forecast.latency_s,
    }


def fan_chart(bars: Bars, forecast: Forecast, columns: int) -> str:
    """The last closes, then the fan of the forecast closes: `█` 25-75%, `░` 10-90%, `─` the median.

    columns  of the terminal: in a narrow one there are fewer closes, and of many bars ahead only some
    """
    room = max(columns - SCALE, 2 * LEAST_PAST)
    every = -(-len(forecast.times) // (room - LEAST_PAST))
    ahead = range(every - 1, len(forecast.times), every)
    width = max(1, min(AHEAD, room // 2) // len(ahead))
    shown = min(PAST, room - len(ahead) * width)
    past = bars.values[-shown:, CLOSE]
    bands = [[forecast.quantile(q, h, CLOSE) for q in (0.1, 0.25, 0.5, 0.75, 0.9)] for h in ahead]
    low = min(float(past.min()), *(b[0] for b in bands))
    high = max(float(past.max()), *(b[4] for b in bands))
    span = (high - low) or 1.0

    def row_of(price: float) -> int:
        return round((high - price) / span * (HEIGHT - 1))

    grid = [[" "] * (len(past) + len(bands) * width) for _ in range(HEIGHT)]
    for column, price in enumerate(past):
        grid[row_of(float(price))][column] = "•"
    for step, band in enumerate(bands):
        rows = [row_of(price) for price in band]
        for offset in range(width):
            column = len(past) + step * width + offset
            for row in range(rows[4], rows[0] + 1):
                grid[row][column] = "█" if rows[3] <= row <= rows[1] else "░"
            grid[rows[2]][column] = "─"
    lines = [f"{high - span * i / (HEIGHT - 1):>14.6g} │{''.join(line)}" for i, line in enumerate(grid)]
    asof = f"{forecast.asof:%Y-%m-%d %H:%M} UTC │"
    return "\n".join(
        [f"{forecast.symbol}, {bars.timeframe} closes and {forecast.backend}'s forecast of them", *lines,
         f"{'':>14} └{'─' * len(grid[0])}", f"{'':>16}{asof:>{len(past)}}"]
    )  # fmt: skip

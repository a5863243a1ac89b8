"""Starts and ends the simulated exchange as a process."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from trader.core.types import Symbol, Timeframe
from trader.exchange.api import fault_script
from trader.exchange.api.faults import FaultError, Faults
from trader.exchange.engine.events import MatchingRules
from trader.exchange.ledger.sqlite import LedgerError
from trader.exchange.market.grid import off_grid
from trader.exchange.market.market import Market, MarketError, MarketOptions, open_market
from trader.exchange.venue import Venue

REQUESTS_PER_MINUTE = 200
CONFIGURATION_EXIT = 78
_SET_PDEATHSIG = 1
LOST_EXIT = 74  # as for any database that is no use
_BACKLOG = 128
_PLAIN: Mapping[str, Any] = {
    "access_log": False,
    "server_header": False,
    "proxy_headers": False,
    "ws_max_size": 64 << 10,  # as a request's body
}


class ExchangeError(Exception):
    """The options can't work. The message is one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeOptions:
    """What `serve` needs.

    speed        market seconds a wall second; None is max: the clock stands until it is advanced
    ledger       None: in memory, gone with the process
    rate_limit   requests a minute of market time; 0 is off; None: 200 at speed 1, else off
    key, secret  None: any pair is accepted
    late_fees    crypto fees are posted at the end of the day
    with_parent  end when the process that started this one does
    """

    port: int = 0
    data: Mapping[Symbol, Path] = field(default_factory=dict)
    quotes: Mapping[Symbol, Path] = field(default_factory=dict)
    symbols: tuple[Symbol, ...] = ()
    seed: int = 1
    speed: float | None = None
    start: datetime | None = None
    cash: Decimal = Decimal(100_000)
    faults: Path | None = None
    ledger: Path | None = None
    key: str | None = None
    secret: str | None = field(default=None, repr=False)
    spread_bps: Decimal = Decimal(20)
    stock_spread_bps: Decimal = Decimal(2)
    rules: MatchingRules = field(default_factory=MatchingRules)
    timeframe: Timeframe | None = None
    context: int = 600
    bars: int | None = None
    rate_limit: int | None = None
    late_fees: bool = False
    with_parent: bool = False

    @property
    def requests_a_minute(self) -> int:
        """What the rate limit comes to; 0 is none."""
        if self.rate_limit is not None:
            return self.rate_limit
        return REQUESTS_PER_MINUTE if self.speed == 1 else 0


def serve(options: ExchangeOptions) -> int:
    """Run until SIGTERM or SIGINT; the exit code. Prints one JSON line on stdout when ready. Raises ExchangeError."""
    if options.with_parent:
        _die_with_parent()
    market, faults = _market(options), _faults(options)
    listener = _listen(options.port)
    try:
        venue = Venue.open(market, cash=options.cash, ledger_path=options.ledger, rules=options.rules)
    except LedgerError as problem:
        listener.close()
        raise ExchangeError(str(problem)) from problem
    venue.late_fees = options.late_fees
    for note in market.notes:
        print(f"trader exchange: {note}", file=sys.stderr, flush=True)
    try:
        lost = _run(options, venue, faults, listener)
    finally:
        venue.close()
        listener.close()
    if lost:
        print(f"trader exchange: the ledger can't be written ({lost}): what it holds stands", file=sys.stderr)
    return LOST_EXIT if lost else 0


def _market(options: ExchangeOptions) -> Market:
    try:
        return open_market(
            MarketOptions(
                data=options.data,
                quotes=options.quotes,
                symbols=options.symbols,
                start=options.start,
                context=options.context,
                seed=options.seed,
                spread_bps=options.spread_bps,
                stock_spread_bps=options.stock_spread_bps,
                timeframe=options.timeframe,
                bars=options.bars,
            )
        )
    except MarketError as problem:
        raise ExchangeError(str(problem)) from problem


def _faults(options: ExchangeOptions) -> Faults:
    if options.faults is None:
        return Faults()
    try:
        return fault_script.load(options.faults)
    except (FaultError, OSError) as problem:
        raise ExchangeError(f"--faults: {problem}") from problem


def _listen(port: int) -> socket.socket:
    # the protocol is named, or asyncio does not know that this is TCP and leaves TCP_NODELAY off: 44 ms a request
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(_BACKLOG)
    except OSError as problem:
        listener.close()
        raise ExchangeError(f"--port {port}: {problem}") from problem
    return listener


def _run(options: ExchangeOptions, venue: Venue, faults: Faults, listener: socket.socket) -> str:
    """Until it is told to end, or can't keep its ledger: then why."""
    # here, not at the top: they cost a third of a second that a mistyped option should not
    import uvicorn
    import uvloop

    from trader.exchange.api.routes import application
    from trader.exchange.api.server import Exchange, Keys, Protocol

    class _Server(uvicorn.Server):
        """Ends on our signals alone: uvicorn's own handler would raise the signal again after the orderly end."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

        def end(self) -> None:
            self.should_exit = True

    lost: list[str] = []

    async def main() -> None:
        keys = Keys(key=options.key, secret=options.secret)
        limit = options.requests_a_minute
        exchange = Exchange(
            venue, speed=options.speed, keys=keys, faults=faults, rate_limit=limit, on_lost=lambda why: lose(why)
        )
        config = uvicorn.Config(
            application(exchange),
            http=Protocol,
            ws="websockets-sansio",
            loop="uvloop",
            lifespan="off",
            log_level="warning",
            **_PLAIN,
            timeout_keep_alive=600,  # a client that thinks between two requests must not meet a closing connection
            timeout_graceful_shutdown=1,
        )
        clock = asyncio.create_task(exchange.run_clock())
        server = _Server(config)

        def lose(why: str) -> None:
            lost.append(why)
            server.end()

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, server.end)
        clock.add_done_callback(lambda task: _end_with(server, task))
        print(json.dumps(_ready(options, venue, listener)), flush=True)
        gc.freeze()  # what is there now stays: no need to look through it again and again
        try:
            await server.serve(sockets=[listener])
        finally:
            exchange.hub.close()
            clock.cancel()

    uvloop.run(main())
    return lost[0] if lost else ""


def _end_with(server: object, clock: asyncio.Task[None]) -> None:
    """A clock that broke must not leave a server behind that looks alive."""
    if not clock.cancelled() and clock.exception() is not None:
        server.should_exit = True  # type: ignore[attr-defined]
        print(f"the market's clock failed: {clock.exception()!r}", file=sys.stderr, flush=True)


def _ready(options: ExchangeOptions, venue: Venue, listener: socket.socket) -> dict[str, object]:
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    market = venue.market
    return {
        "trading_url": f"http://{address}",
        "data_url": f"http://{address}",
        "trade_stream_url": f"ws://{address}/stream",
        "ledger": None if options.ledger is None else str(options.ledger),
        "start": market.start.isoformat(),
        "timeframe": str(market.timeframe),
        "off_grid": off_grid(market, market.quoted, options.timeframe or market.timeframe),
        "symbols": [symbol.text for symbol in market.quoted],
    }


def _die_with_parent() -> None:
    """Linux: the kernel sends SIGTERM when the parent ends. Where it ended before this line, end now."""
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        raise ExchangeError("--with-parent: the parent is gone already")

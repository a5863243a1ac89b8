"""`trader exchange`: the simulated Alpaca alone, for any Alpaca client."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from settings.trust import distrust
from trader.core.types import Symbol, Timeframe

if TYPE_CHECKING:
    from trader.exchange.engine.events import MatchingRules

CONFIGURATION_EXIT = 78
_MOST_OF_A_SECRET = 4096


class _OptionError(ValueError):
    """One line: which option, what is wrong, what would be right."""


@click.command("exchange")
@click.option(
    "--port", default=8765, show_default=True, type=click.IntRange(0, 65535), help="The port. 0 picks a free one."
)
@click.option(
    "--data", multiple=True, metavar="SYMBOL=FILE", help="A file of bars to replay, Parquet or CSV (repeatable)."
)
@click.option("--quotes", multiple=True, metavar="SYMBOL=FILE", help="A file of recorded quotes for them (repeatable).")
@click.option("--symbol", "symbols", multiple=True, help="A symbol whose market is generated (repeatable).")
@click.option("--seed", default=1, show_default=True, help="The seed of the generated market.")
@click.option("--speed", default="1", show_default=True, help="How many market seconds pass in one second, or max.")
@click.option(
    "--start", default=None, metavar="TIME", help="The time at which the clock starts. Earlier bars are history."
)
@click.option("--cash", default="100000", show_default=True, help="The cash of the account, USD.")
@click.option("--faults", default=None, type=click.Path(path_type=Path), help="A file of scripted faults (JSON).")
@click.option(
    "--ledger",
    default=None,
    type=click.Path(path_type=Path),
    help="The SQLite file of the ledger (default: in memory).",
)
@click.option("--key", default=None, envvar="EXCHANGE_KEY", help="Accept this key id only, with its secret.")
@click.option(
    "--secret-file",
    default=None,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Accept the secret on this file's first line only (default: EXCHANGE_SECRET, from the environment).",
)
@click.option("--spread-bps", default="20", show_default=True, help="The modelled spread of coins, whole width.")
@click.option("--stock-spread-bps", default="2", show_default=True, help="The modelled spread of stocks, whole width.")
@click.option(
    "--volume-share", default="0.25", show_default=True, help="The share of a bar's volume that our orders may take."
)
@click.option(
    "--touch-share",
    default="0",
    show_default=True,
    help="The part of that share for a limit that is touched and not passed.",
)
@click.option(
    "--stop-slip", default="0", show_default=True, help="How far a passed stop slips towards the path's end, 0 to 1."
)
@click.option("--accept-s", default="0", show_default=True, help="Market seconds from an order's POST to its arrival.")
@click.option("--cancel-s", default="0", show_default=True, help="Market seconds from a cancel's 204 to its effect.")
@click.option(
    "--coin-order-limit",
    default="200000",
    show_default=True,
    help="USD that one order in a coin may cost; 0: any.",
)
@click.option("--late-fees", is_flag=True, help="Post crypto fees (CFEE) at the end of the day, without a time.")
@click.option(
    "--timeframe",
    default=None,
    help="The length of a generated bar. For files of finer bars: the length that --context counts in.",
)
@click.option(
    "--context",
    default=600,
    show_default=True,
    type=click.IntRange(0),
    help="How many bars of history before the start.",
)
@click.option(
    "--bars", default=None, type=click.IntRange(1), help="The length of a generated market (default: endless)."
)
@click.option("--rate-limit", default=None, type=click.IntRange(0), help="Requests in a market minute. 0 is no limit.")
@click.option("--with-parent", is_flag=True, help="End when the process that started this one does.")
def exchange_command(
    port: int,
    data: tuple[str, ...],
    quotes: tuple[str, ...],
    symbols: tuple[str, ...],
    seed: int,
    speed: str,
    start: str | None,
    cash: str,
    faults: Path | None,
    ledger: Path | None,
    key: str | None,
    secret_file: Path | None,
    spread_bps: str,
    stock_spread_bps: str,
    volume_share: str,
    touch_share: str,
    stop_slip: str,
    accept_s: str,
    cancel_s: str,
    coin_order_limit: str,
    late_fees: bool,
    timeframe: str | None,
    context: int,
    bars: int | None,
    rate_limit: int | None,
    with_parent: bool,
) -> None:
    """Run the simulated Alpaca. When it is ready it prints one line of JSON with its addresses."""
    from trader.exchange.run import ExchangeError, ExchangeOptions, serve  # heavy: not for --help

    try:
        secret = _secret(key, secret_file)
        options = ExchangeOptions(
            port=port,
            data=_files("--data", data),
            quotes=_files("--quotes", quotes),
            symbols=tuple(_symbol("--symbol", part) for text in symbols for part in text.split(",") if part.strip()),
            seed=seed,
            speed=_speed(speed),
            start=_moment(start),
            cash=_amount("--cash", cash),
            faults=faults,
            ledger=ledger,
            key=key,
            secret=secret,
            spread_bps=_amount("--spread-bps", spread_bps),
            stock_spread_bps=_amount("--stock-spread-bps", stock_spread_bps),
            rules=_rules(volume_share, touch_share, stop_slip, accept_s, cancel_s, coin_order_limit),
            timeframe=_timeframe(timeframe),
            context=context,
            bars=bars,
            rate_limit=rate_limit,
            late_fees=late_fees,
            with_parent=with_parent,
        )
        code = serve(options)
    except (_OptionError, ExchangeError) as problem:
        code = _complain(problem)
    sys.exit(code)


def _complain(problem: Exception) -> int:
    click.echo(f"trader exchange: {' '.join(str(problem).split())}", err=True)
    return CONFIGURATION_EXIT


def _secret(key: str | None, file: Path | None) -> str | None:
    """Never an argument: those are everybody's to read, in `ps`. A key id alone, which is, would keep nobody out."""
    found = os.environ.get("EXCHANGE_SECRET") or None if file is None else _first_line(file)
    if key is not None and found is None:
        raise _OptionError("--key: its secret is missing; right: --secret-file FILE, or EXCHANGE_SECRET")
    return found


def _first_line(file: Path) -> str:
    why = distrust(file)
    try:
        with file.open(encoding="utf-8") as source:
            mode = os.fstat(source.fileno()).st_mode
            line = source.readline(_MOST_OF_A_SECRET).strip()
    except OSError as problem:
        raise _OptionError(f"--secret-file {file}: {problem.strerror}") from problem
    except ValueError as problem:
        raise _OptionError(f"--secret-file {file}: it is no text") from problem
    if not why and mode & stat.S_IROTH:
        why = f"every user can read it; right: chmod o-r {quote(str(file))}"
    if not why and not line:
        why = "its first line is empty; right: the secret, and nothing else"
    if why:
        raise _OptionError(f"--secret-file {file}: {why}")
    return line


def _rules(
    volume_share: str, touch_share: str, stop_slip: str, accept_s: str, cancel_s: str, coin_order_limit: str
) -> MatchingRules:
    from trader.exchange.engine.events import MatchingRules  # heavy: not for --help

    return MatchingRules(
        volume_share=_share("--volume-share", volume_share),
        touch_share=_share("--touch-share", touch_share),
        stop_slip=_share("--stop-slip", stop_slip),
        accept_s=_amount("--accept-s", accept_s),
        cancel_s=_amount("--cancel-s", cancel_s),
        coin_order_limit=_amount("--coin-order-limit", coin_order_limit) or None,
    )


def _files(option: str, pairs: Iterable[str]) -> dict[Symbol, Path]:
    found: dict[Symbol, Path] = {}
    for pair in pairs:
        name, equals, file = pair.partition("=")
        if not equals or not file:
            raise _OptionError(f"{option} {pair}: write SYMBOL=FILE, for example BTC/USD=bars.parquet")
        symbol = _symbol(option, name)
        if symbol in found:
            raise _OptionError(f"{option}: {symbol} is given twice")
        found[symbol] = Path(file)
    return found


def _symbol(option: str, text: str) -> Symbol:
    try:
        return Symbol(text.strip().upper())
    except ValueError as problem:
        raise _OptionError(f"{option}: {problem}") from problem


def _speed(text: str) -> float | None:
    if text.lower() == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed <= 1e7:
        raise _OptionError(f"--speed {text}: a positive number of at most 10000000, or max")
    return speed


def _amount(option: str, text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(-1)
    if not value.is_finite() or not 0 <= value < 10**12:
        raise _OptionError(f"{option} {text}: a number of at least 0")
    return value


def _share(option: str, text: str) -> Decimal:
    share = _amount(option, text)
    if share > 1:
        raise _OptionError(f"{option} {text}: a share, from 0 to 1")
    return share


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as problem:
        raise _OptionError(f"--start {text}: a time such as 2024-03-01T12:00Z") from problem
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _timeframe(text: str | None) -> Timeframe | None:
    if text is None:
        return None
    try:
        return Timeframe.parse(text)
    except ValueError as problem:
        raise _OptionError(f"--timeframe: {problem}") from problem

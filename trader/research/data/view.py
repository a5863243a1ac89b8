"""What `trader data` does and says: a few lines for people, or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from settings.schema import Settings
from trader.core.types import Symbol, Timeframe
from trader.errors import ConfigurationError
from trader.printable import console as printable_console
from trader.printable import printable
from trader.research.data.checks import Finding, Health, examine, scale_against
from trader.research.data.importing import BadRow, Judged, judge, merged
from trader.research.data.quote_store import quotes_of
from trader.research.data.store import BarStore, Entry, bars_of, store_of
from trader.research.data.table_reading import read_raw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trader.research.data.download import Downloaded, Listener

LISTED = 20  # bad rows, and findings, that people are shown; JSON has them all
YEAR = timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportWish:
    """As the command line says it; see its help."""

    file: Path
    symbol: str
    timeframe: str | None = None
    columns: tuple[str, ...] = ()
    zone: str | None = None
    time_format: str | None = None
    repair: bool = False
    replace: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadWish:
    """As the command line says it; see its help. Naive times are UTC."""

    start: datetime | None = None
    end: datetime | None = None
    quotes: bool = False
    adjustment: str = "split"
    replace: bool = False


# ---- import ----


def import_file(settings: Settings, wish: ImportWish, as_json: bool) -> int:
    """Exit code 1 where bad rows kept it from being written. Raises ConfigurationError."""
    symbol, timeframe = _symbol(wish.symbol), None if wish.timeframe is None else _timeframe(wish.timeframe)
    raw = read_raw(wish.file, names=_pairs(wish.columns), zone=_zone(wish.zone), time_format=wish.time_format)
    judged = judge(raw, symbol, timeframe)
    store = store_of(settings)
    findings = _noticed(store, symbol, judged) if len(judged.columns) > 1 else ()
    entry = None
    if wish.repair or not judged.bad:
        columns = judged.columns
        if store.path(symbol, judged.timeframe) is not None and not wish.replace:
            columns = merged(store.columns(symbol, judged.timeframe), columns)
        entry = store.write(symbol, judged.timeframe, columns, source=wish.file.name)
    if as_json:
        print(json.dumps(_import_plain(raw.names, judged, findings, entry)))
    else:
        _say_import(wish, raw.names, judged, findings, entry)
    return 0 if entry is not None else 1


def _noticed(store: BarStore, symbol: Symbol, judged: Judged) -> tuple[Finding, ...]:
    bars = bars_of(symbol, judged.timeframe, judged.columns)
    findings = list(examine(bars).findings)
    for entry in store.entries():
        if entry.symbol == symbol:
            scale_finding = scale_against(bars, store.series(symbol, entry.timeframe))
            findings += [] if scale_finding is None else [scale_finding]
    return tuple(findings)


def _say_import(
    wish: ImportWish, names: Mapping[str, str], judged: Judged, findings: tuple[Finding, ...], entry: Entry | None
) -> None:
    print("columns: " + ", ".join(f"{what} = {name!r}" for what, name in names.items()))
    for note in judged.notes:
        print(f"note: {printable(note)}")
    _say_bad(judged.bad)
    _say_findings(findings)
    if entry is None:
        print(
            f"nothing was written: {len(judged.bad)} bad rows of {len(judged.columns) + len(judged.bad)}. Correct the "
            "file, or --repair leaves them out (and sorts the rows that are only out of order)"
        )
    else:
        left_out = f", {len(judged.bad)} listed rows repaired or left out" if judged.bad else ""
        print(f"stored {_span(entry)}{left_out}: {entry.path}")


def _say_bad(bad: tuple[BadRow, ...]) -> None:
    for each in bad[:LISTED]:
        print(printable(f"bad row {each.row} ({each.time or 'no time'}): {each.reason}"))
    if len(bad) > LISTED:
        print(f"... and {len(bad) - LISTED} more bad rows (--json lists all)")


def _say_findings(findings: tuple[Finding, ...], indent: str = "") -> None:
    for finding in findings[:LISTED]:
        print(f"{indent}{finding.kind}: {finding.at:%Y-%m-%d %H:%M}Z {finding.text}")
    if len(findings) > LISTED:
        print(f"{indent}... and {len(findings) - LISTED} more (--json lists all)")


def _import_plain(
    names: Mapping[str, str], judged: Judged, findings: tuple[Finding, ...], entry: Entry | None
) -> dict[str, Any]:
    return {
        "stored": None if entry is None else _entry_plain(entry),
        "columns": dict(names),
        "timeframe": str(judged.timeframe),
        "good_rows": len(judged.columns),
        "bad_rows": [asdict(each) for each in judged.bad],
        "notes": list(judged.notes),
        "findings": [_finding_plain(each) for each in findings],
    }


# ---- download ----


def download_all(settings: Settings, wish: DownloadWish, as_json: bool) -> int:
    """Raises VenueUnreachable (69), ConfigurationError (78), CredentialsRefused (77)."""
    from trader.research.data.download import Downloader, DownloadRange, data_clients

    _refuse_backwards(wish)
    symbols, timeframe = [Symbol(text) for text in settings.trading.symbols], _timeframe(settings.trading.timeframe)
    clients = data_clients(settings, symbols)
    downloader = Downloader(clients, per_minute=settings.venue.requests_per_minute, adjustment=wish.adjustment)
    bars, quotes = store_of(settings), quotes_of(settings)
    downloads: list[Downloaded] = []
    with nullcontext(None) if as_json else _progress() as listener:
        for symbol in symbols:
            end = _utc(wish.end) or datetime.now(UTC)
            entry = None if wish.quotes else bars.entry(symbol, timeframe)
            span = quotes.span(symbol) if wish.quotes else None if entry is None else (entry.first, entry.last)
            usual = end - YEAR if span is None else span[0] if wish.replace else span[1]
            wanted = DownloadRange(symbol=symbol, timeframe=timeframe, start=_utc(wish.start) or usual, end=end)
            if wish.quotes:
                downloads.append(downloader.quotes(quotes, wanted, listener, anew=wish.replace))
            else:
                downloads.append(downloader.bars(bars, wanted, listener, anew=wish.replace))
    if as_json:
        print(json.dumps([_downloaded_plain(download) for download in downloads]))
        return 0
    for download in downloads:
        went_on = f" (from {download.resumed_at:%Y-%m-%d %H:%M}Z on)" if download.resumed_at else ""
        print(f"{download.symbol}: {download.rows} new {download.what}{went_on}")
        _say_bad(download.bad)
    return 0


def _refuse_backwards(wish: DownloadWish) -> None:
    """Raises ConfigurationError."""
    start, end = _utc(wish.start), _utc(wish.end)
    if start is not None and start >= (end or datetime.now(UTC)):
        until = "now" if end is None else f"--to {end:%Y-%m-%d %H:%M}Z"
        raise ConfigurationError(f"--from {start:%Y-%m-%d %H:%M}Z is not before {until}: nothing lies between them")


def _downloaded_plain(each: Downloaded) -> dict[str, Any]:
    return {
        "symbol": str(each.symbol),
        "what": each.what,
        "new_rows": each.rows,
        "resumed_at": None if each.resumed_at is None else each.resumed_at.isoformat(),
        "bad_rows": [asdict(row) for row in each.bad],
    }


@contextmanager
def _progress() -> Iterator[Listener]:
    """A bar a series, on standard error: the answer is on standard output."""
    from rich.progress import Progress, TaskID

    with Progress(console=printable_console(sys.stderr), transient=True) as shown:
        tasks: dict[str, TaskID] = {}

        def tell(what: str, share: float) -> None:
            if what not in tasks:
                tasks[what] = shown.add_task(what, total=1.0)
            shown.update(tasks[what], completed=share)

        yield tell


# ---- list ----


def show_list(settings: Settings, as_json: bool) -> None:
    """Raises ConfigurationError where a file is none of ours."""
    store, quotes = store_of(settings), quotes_of(settings)
    rows = [(entry, _health(store, entry)) for entry in store.entries()]
    quote_files = quotes.entries()
    if as_json:
        bar_entries = [_entry_plain(entry) | _health_plain(health) for entry, health in rows]
        print(json.dumps({"bars": bar_entries, "quotes": [{"symbol": str(s), "path": str(p)} for s, p in quote_files]}))
        return
    if not rows and not quote_files:
        print(f"nothing is stored in {store.root}: `trader data import FILE --symbol SYM` or `trader data download`")
    for entry, health in rows:
        print(_span(entry))
        if isinstance(health, str):
            print(f"  {health}")
            continue
        gaps = f"{health.missing} missing in {health.gaps} gaps, the longest {health.longest_gap}"
        print(f"  {gaps if health.missing else 'no gaps'}; from {entry.source}; {entry.content_hash[:12]}")
        _say_findings(health.findings, "  ")
    for symbol, path in quote_files:
        print(f"{symbol} quotes: {path}")


def _health(store: BarStore, entry: Entry) -> Health | str:
    """A damaged series is listed with what is wrong with it."""
    try:
        return examine(store.series(entry.symbol, entry.timeframe))
    except ConfigurationError as error:
        return str(error)


def _span(entry: Entry) -> str:
    return (
        f"{entry.symbol} {entry.timeframe}: {entry.rows} bars, {entry.first:%Y-%m-%d %H:%M}Z to "
        f"{entry.last:%Y-%m-%d %H:%M}Z"
    )


def _entry_plain(entry: Entry) -> dict[str, Any]:
    plain = {name: getattr(entry, name) for name in ("rows", "content_hash", "source")}
    texts = {name: str(getattr(entry, name)) for name in ("symbol", "timeframe", "path")}
    return texts | plain | {name: getattr(entry, name).isoformat() for name in ("first", "last", "written_at")}


def _health_plain(health: Health | str) -> dict[str, Any]:
    if isinstance(health, str):
        return {"problem": health}
    counts = {name: getattr(health, name) for name in ("missing", "gaps", "longest_gap")}
    return {**counts, "problem": None, "findings": [_finding_plain(each) for each in health.findings]}


def _finding_plain(finding: Finding) -> dict[str, str]:
    return {"kind": str(finding.kind), "at": finding.at.isoformat(), "text": finding.text}


# ---- words of the command line ----


def _symbol(text: str) -> Symbol:
    try:
        return Symbol(text.strip().upper())
    except ValueError as error:
        raise ConfigurationError(f"--symbol: {error}") from None


def _timeframe(text: str) -> Timeframe:
    try:
        return Timeframe.parse(text)
    except ValueError as error:
        raise ConfigurationError(f"--timeframe: {error}") from None


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return None if name is None else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigurationError(f"--zone: no time zone is called {name!r} (for example America/New_York)") from None


def _pairs(texts: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for what, sign, name in pairs:
        if not what or not sign or not name:
            raise ConfigurationError("--column: write FIELD=NAME, for example --column close=Last")
    return {what: name for what, _, name in pairs}


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)

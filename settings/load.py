"""Reads the settings: flags > environment > systemd credentials > .env.compile > .env > defaults.

The only code of the program that reads the environment. The order itself is `sources.PRECEDENCE`.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from settings.errors import SettingsError
from settings.kinds import COMPILABLE, is_path
from settings.names import Entry, looks_secret, nearest, right, table
from settings.redaction import MASK, remember
from settings.schema import STRATEGIES, Settings, is_alpacas, shown_free, shown_url
from settings.sources import PRECEDENCE, Given, Inputs, Source
from settings.trust import distrust, is_roots, open_to_all

__all__ = ["Loaded", "Row", "SettingsError", "load", "require_keys", "text_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of `trader config show`. `value` is safe to print."""

    name: str
    value: str
    unit: str
    origin: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The settings, and for each name where its value came from: `flag --mode`, `environment`, `/x/.env:12`,
    `credential alpaca_api_key_id`, `default`."""

    settings: Settings
    origins: Mapping[str, str]

    def rows(self) -> tuple[Row, ...]:
        """Every setting in reading order, then the free parameters; secrets masked."""
        rows = [
            Row(
                name=entry.name,
                value=_shown(self.settings, entry),
                unit=entry.unit,
                origin=self.origins[entry.name],
                description=entry.description,
            )
            for entry in table().values()
        ]
        return (*rows, *self._free_rows())

    def _free_rows(self) -> list[Row]:
        settings = self.settings
        named = [
            (f"{s}__{n}".upper(), value) for s, params in settings.strategies.items() for n, value in params.items()
        ]
        named += [
            (f"OPTIONS__{b}__{n}".upper(), value)
            for b, options in settings.backend_options.items()
            for n, value in options.items()
        ]
        return [
            Row(
                name=name,
                value=shown_free(name, value),
                unit="",
                origin=self.origins.get(name, "default"),
                description="a parameter of its own",
            )
            for name, value in named
        ]


def load(
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
    strategies: Collection[str] = STRATEGIES,
    only: Collection[str] = (),
) -> Loaded:
    """Read everything and check it.

    flags       by setting name in small letters (`trading_mode`, `sim__speed`); None and () are flags not given
    environ     the process environment where None
    folder      where `.env.compile` and `.env` may lie; the working directory where None
    strategies  the names that STRATEGY may have, and whose `NAME__...` parameters are passed on; a file that it names
                is one more
    only        names to read, for what must work whatever is wrong with the others; empty is all

    Raises SettingsError: one line.
    """
    inputs = Inputs(
        flags=flags or {},
        environ=os.environ if environ is None else environ,
        folder=Path.cwd() if folder is None else folder,
        strategies=strategies,
        only=only,
    )
    sources, raw = _merge(inputs)
    strategy = raw.get("trading", {}).get("strategy")
    if isinstance(strategy, str) and is_path(strategy):  # its parameters have a name only now
        sources, raw = _merge(replace(inputs, strategies=(*strategies, strategy)))
    problems = [problem for source in sources for problem in source.problems]
    if problems:
        raise SettingsError(problems)
    given = {name: source.given[name] for source in reversed(sources) for name in source.given}
    _outrank(sources, raw, given)
    _fill_places(raw, inputs.environ)
    settings, problems = _validate(raw, given, strategies)
    problems = problems or _distrusted(settings, given) or _sent_elsewhere(settings, given)
    if settings is None or problems:
        raise SettingsError([_redact(problem, given) for problem in problems])
    remember(settings.secrets())
    return Loaded(settings=settings, origins=_origins(settings, given))


def require_keys(settings: Settings) -> tuple[str, str]:
    """The venue's key id and secret, in the clear. Raises SettingsError where they are missing."""
    key = settings.venue.alpaca_api_key_id.get_secret_value()
    if not key:
        raise SettingsError(
            [
                "ALPACA_API_KEY_ID is missing, and ALPACA_API_SECRET_KEY; right: both in the environment, in .env, or "
                "as the systemd credentials alpaca_api_key_id and alpaca_api_secret_key"
            ]
        )
    return key, settings.venue.alpaca_api_secret_key.get_secret_value()


def text_of(value: object) -> str:
    """A value as it would be written in a file; secrets masked."""
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _merge(inputs: Inputs) -> tuple[tuple[Source, ...], dict[str, Any]]:
    """The sources, highest first, and what they say together, in the schema's nested form but not yet checked."""
    sources: tuple[Source, ...] = ()

    class Merged(BaseSettings):
        model_config = SettingsConfigDict(extra="allow", hide_input_in_errors=True)

        @classmethod
        def settings_customise_sources(cls, settings_cls: type[BaseSettings], *_: Any, **__: Any) -> tuple[Source, ...]:
            nonlocal sources
            sources = tuple(source(settings_cls, inputs) for source in PRECEDENCE)
            return sources

    merged = Merged().model_extra or {}
    return sources, dict(merged)


def _outrank(sources: tuple[Source, ...], raw: dict[str, Any], given: dict[str, Given]) -> None:
    """`FORECASTER=kronos-compiled` in the environment overrides KRONOS_COMPILE=0 of a file, as any setting would.

    On one and the same level the two contradict each other, which is an error.
    """
    for family in COMPILABLE:
        name = f"{family.upper()}_COMPILE"
        if name not in given or given.get("FORECASTER") is None:
            continue
        outranks = _rank(sources, "FORECASTER") < _rank(sources, name)
        if outranks and given["FORECASTER"].value == f"{family}-compiled":
            del raw[family]["compile"], given[name]


def _rank(sources: tuple[Source, ...], name: str) -> int:
    """0 is the highest source that gives it."""
    return next(index for index, source in enumerate(sources) if name in source.given)


def _fill_places(raw: dict[str, Any], environ: Mapping[str, str]) -> None:
    """Folders that were not given, or given empty: those that systemd made for us, else the user's own."""
    places = (
        ("store", "state_dir", "STATE_DIRECTORY", "XDG_STATE_HOME", ".local/state", "trader"),
        ("compile", "compiled_models_dir", "CACHE_DIRECTORY", "XDG_CACHE_HOME", ".cache", "trader/compiled"),
    )
    for group, field, systemd, xdg, home, below in places:
        values = raw.setdefault(group, {})
        if values.get(field, "") != "":
            continue
        if environ.get(systemd):
            values[field] = environ[systemd].partition(":")[0]  # it may list several
        else:
            base = environ.get(xdg, "")
            values[field] = (Path(base) if base.startswith("/") else Path(environ.get("HOME") or "~") / home) / below
    if raw["compile"].get("torchinductor_cache_dir") == "":
        del raw["compile"]["torchinductor_cache_dir"]


def _validate(
    raw: dict[str, Any], values: Mapping[str, Given], strategies: Collection[str]
) -> tuple[Settings | None, list[str]]:
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        problems = [dict(details) for details in error.errors(include_url=False, include_input=False)]
    else:
        return settings, _strategy_problems(settings, values, strategies)
    return None, [text for details in problems for text in _problems(details, values)]


def _distrusted(settings: Settings | None, given: Mapping[str, Given]) -> list[str]:
    """What lies at a path of the settings, is believed or run, and may be another user's work."""
    if settings is None:
        return []
    places = {"STATE_DIR": settings.store.state_dir}
    if file := re.fullmatch(r"sqlite(?:\+\w+)?:///([^?]+).*", settings.database_url):
        places["DATABASE_URL"] = Path(file[1])
    if is_path(settings.trading.strategy):
        places["STRATEGY"] = Path(settings.trading.strategy)
    found = [(name, distrust(path)) for name, path in places.items()]
    if settings.worker.socket and (why := open_to_all(Path(settings.worker.socket).parent)):
        right = "right: a folder where nobody else can put a socket of his, as below /run"
        found.append(("WORKER_SOCKET", f"{why}; {right}"))
    return [f"{_where(name, given)}: {name}: {why}" for name, why in found if why][:1]


def _sent_elsewhere(settings: Settings | None, given: Mapping[str, Given]) -> list[str]:
    """The keys go to Alpaca. Another host is for whoever starts the program to name, or for root: a file that came
    with a folder must not decide where they are sent."""
    if settings is None or settings.trading.trading_mode == "sim":
        return []
    names = ("ALPACA_TRADING_URL", "ALPACA_DATA_URL", "ALPACA_TRADE_STREAM_URL")
    return [
        f"{given[name].origin}: {name} would send the keys to another host than Alpaca's; right: say so with a flag or "
        "in the environment, or in a file of root's"
        for name in names
        if name in given and given[name].value and not is_alpacas(str(given[name].value))
        if (file := given[name].file) is not None and not is_roots(file)
    ]


def _strategy_problems(settings: Settings, given: Mapping[str, Given], strategies: Collection[str]) -> list[str]:
    name = settings.trading.strategy
    if is_path(name):
        if Path(name).is_file():
            return []
        where = _where("STRATEGY", given)
        return [f"{where}: STRATEGY={name}: there is no such file; right: a Python file with `decide`"]
    if name in strategies:
        return []
    near = nearest(name, strategies)
    choice = f"{near}?" if near else "one of " + ", ".join(strategies)
    return [f"{_where('STRATEGY', given)}: STRATEGY={name!r} is not a strategy; right: {choice}"]


def _problems(details: dict[str, Any], given: Mapping[str, Given]) -> list[str]:
    """One of pydantic's errors in our words."""
    if details["type"] == "contradiction":
        return [_contradiction(names, text, given) for names, text in details["ctx"]["problems"]]
    group, field = (str(part) for part in (*details["loc"], "", "")[:2])
    entry = next((e for e in table().values() if (e.group, e.field) == (group, field)), None)
    if entry is None:
        return [f"{group}.{field}: {details['msg']}"]
    what = _WORDING.get(details["type"]) or details["msg"].removeprefix("Value error, ").replace("Input should", "must")
    if details["type"].endswith(("_parsing", "_type")):
        what = "is not what this setting holds"
    value = "" if entry.secret or entry.name not in given else f"={_quoted(given[entry.name].value, given)}"
    text = f"{_where(entry.name, given)}: {entry.name}{value}: {what}; right: {right(entry)}"
    guess = _guess(entry, given)
    return [text + guess]


_WORDING = {"string_pattern_mismatch": "is not written so", "literal_error": "is not one of its choices"}


def _guess(entry: Entry, given: Mapping[str, Given]) -> str:
    """The choice that was probably meant."""
    choices = right(entry).removeprefix("one of ").split(", ") if right(entry).startswith("one of ") else []
    value = given[entry.name].value if entry.name in given else ""
    near = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.6)
    return f" ({near[0]}?)" if near else ""


def _contradiction(names: tuple[str, ...], text: str, given: Mapping[str, Given]) -> str:
    other_places = [f"{name} from {given[name].origin}" for name in names[1:] if name in given]
    place = next((given[name].origin for name in names if name in given), "settings")
    return f"{place}: {names[0]} {text}" + (f" [{', '.join(other_places)}]" if other_places else "")


def _where(name: str, given: Mapping[str, Given]) -> str:
    return given[name].origin if name in given else "settings"


def _quoted(value: object, given: Mapping[str, Given]) -> str:
    text = _redact(",".join(map(str, value)) if isinstance(value, tuple) else str(value), given)
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _redact(text: str, given: Mapping[str, Given]) -> str:
    """A secret may have been pasted under the wrong name: no value of a secret's name is repeated anywhere."""
    for name, item in given.items():
        if looks_secret(name) and len(str(item.value)) >= 4:
            text = text.replace(str(item.value), MASK)
    return text


def _origins(settings: Settings, given: Mapping[str, Given]) -> dict[str, str]:
    origins = {name: given[name].origin if name in given else "default" for name in (*table(), *given)}
    family = settings.trading.family
    if family in COMPILABLE and settings.trading.compiled:  # one of the two spellings followed from the other
        switch = f"{family.upper()}_COMPILE"
        if switch not in given:
            origins[switch] = f"FORECASTER ({origins['FORECASTER']})"
        elif given.get("FORECASTER") is None or given["FORECASTER"].value == family:
            origins["FORECASTER"] += f", {switch} ({origins[switch]})"
    return origins


def _shown(settings: Settings, entry: Entry) -> str:
    """The value in effect: what an empty one stands for is spelt out."""
    effective = {
        "DATABASE_URL": shown_url(settings.database_url),
        "ALPACA_TRADING_URL": settings.trading_url,
        "ALPACA_DATA_URL": settings.data_url,
        "ALPACA_TRADE_STREAM_URL": settings.trade_stream_url,
    }
    return effective.get(entry.name) or text_of(getattr(getattr(settings, entry.group), entry.field))

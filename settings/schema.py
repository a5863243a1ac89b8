"""All settings as one frozen value, and the rules that hold between them.

The single settings are in `groups.py` and `models.py`; `load.py` reads them. Nothing here looks at the environment.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterator
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from pydantic import Field, field_serializer, model_validator
from pydantic_core import PydanticCustomError

from settings.audit import Audit
from settings.groups import Alerts, Exits, Risk, Sim, Sizing, Store, Trading, Venue
from settings.kinds import COMPILABLE, Group, variable_of
from settings.models import Compile, Kronos, Toto
from settings.process import Log, Worker
from settings.redaction import MASK, PART
from settings.research import Compare

SECRET_NAME = re.compile(r"KEY|SECRET|TOKEN|PASS|AUTH|CREDENTIAL|PRIVATE|LICEN[CS]E|WEBHOOK|DSN", re.IGNORECASE)
STRATEGIES = ("maxdiff", "edge", "flat")

LIVE_HOST = "api.alpaca.markets"
PAPER_HOST = "paper-api.alpaca.markets"
DATA_URL = "https://data.alpaca.markets"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})  # what is surely this machine, whatever resolves names
_NUMBER = re.compile(r"[-+]?\d{0,18}(\.\d{0,18})?([eE][-+]?\d{1,3})?")
_TOKEN = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w+=:.~-]{16,}", re.ASCII)  # nobody writes such a word himself
_REAL_KEY = re.compile(r"[PAC]K[A-Z0-9]{14,}")

Problem = tuple[
    tuple[str, ...], str
]  # the names concerned, the first one leading; what is wrong and what would be right
Free = dict[str, dict[str, str]]


class Settings(Group):
    """Everything that was configured. `trading.forecaster` and the COMPILE switches always agree."""

    groups: ClassVar[tuple[str, ...]] = (
        "trading", "venue", "risk", "exits", "sizing", "kronos", "toto", "compile", "store", "sim", "log", "alerts",
        "worker", "compare", "audit",
    )  # fmt: skip

    trading: Trading = Field(default_factory=Trading)
    venue: Venue = Field(default_factory=Venue)
    risk: Risk = Field(default_factory=Risk)
    exits: Exits = Field(default_factory=Exits)
    sizing: Sizing = Field(default_factory=Sizing)
    kronos: Kronos = Field(default_factory=Kronos)
    toto: Toto = Field(default_factory=Toto)
    compile: Compile = Field(default_factory=Compile)
    store: Store = Field(default_factory=Store)
    sim: Sim = Field(default_factory=Sim)
    log: Log = Field(default_factory=Log)
    alerts: Alerts = Field(default_factory=Alerts)
    worker: Worker = Field(default_factory=Worker)
    compare: Compare = Field(default_factory=Compare)
    audit: Audit = Field(default_factory=Audit)
    strategies: Free = Field(default_factory=dict, description="Parameters by strategy; the strategy validates them.")
    backend_options: Free = Field(
        default_factory=dict, repr=False, description="Options by third-party backend; the backend validates them."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        problems = [problem for rule in _RULES for problem in rule(self)]
        if problems:
            text = f"{problems[0][0][0]} {problems[0][1]}"
            raise PydanticCustomError("contradiction", "{text}", {"text": text, "problems": problems})
        _settle_compilation(self)
        return self

    @field_serializer("backend_options")
    def _mask_options(self, options: Free) -> Free:
        return {b: {n: shown_free(n, v) for n, v in o.items()} for b, o in options.items()}

    @property
    def trading_url(self) -> str:
        """Where orders go; empty in sim: the daemon is to start its own exchange."""
        return self.venue.alpaca_trading_url or self._of_mode(f"https://{PAPER_HOST}", f"https://{LIVE_HOST}")

    @property
    def data_url(self) -> str:
        return self.venue.alpaca_data_url or self._of_mode(DATA_URL, DATA_URL)

    @property
    def trade_stream_url(self) -> str:
        return self.venue.alpaca_trade_stream_url or self._of_mode(
            f"wss://{PAPER_HOST}/stream", f"wss://{LIVE_HOST}/stream"
        )

    @property
    def database_url(self) -> str:
        """In the clear: for the engine only, never for a log. `shown_url` is for people."""
        given = self.store.database_url.get_secret_value()
        return given or f"sqlite:///{self.store.state_dir / f'journal-{self.trading.trading_mode}.db'}"

    @property
    def strategy_params(self) -> dict[str, str]:
        """Those of the chosen strategy, as they were written."""
        return dict(self.strategies.get(self.strategy_key, {}))

    @property
    def strategy_key(self) -> str:
        """Under which the chosen strategy's parameters stand in `strategies`."""
        return variable_of(self.trading.strategy).lower()

    def options_of(self, backend: str) -> dict[str, str]:
        """A third-party backend's own options. A variable's name can't hold the dash that a backend's may."""
        return dict(self.backend_options.get(backend.lower().replace("-", "_"), {}))

    def secrets(self) -> tuple[str, ...]:
        """Every text that must never be shown, for the log's redaction."""
        keys = (
            self.venue.alpaca_api_key_id, self.venue.alpaca_api_secret_key, self.audit.key_id, self.audit.secret_key,
        )  # fmt: skip
        found = [key.get_secret_value() for key in (*keys, self.alerts.webhook_url)]
        free = [item for o in (*self.backend_options.values(), *self.strategies.values()) for item in o.items()]
        found += [value for name, value in free if SECRET_NAME.search(name) or _TOKEN.fullmatch(value)]
        found += _passwords(self.store.database_url.get_secret_value())
        return tuple(sorted({text for text in found if text}, key=len, reverse=True))

    def _of_mode(self, paper: str, live: str) -> str:
        return {"paper": paper, "live": live}.get(self.trading.trading_mode, "")


def shown_url(url: str) -> str:
    """A database URL with its password masked."""
    for password in _passwords(url):
        url = url.replace(password, f":{MASK}@" if password.startswith(":") else MASK)
    return url


def shown_free(name: str, value: str) -> str:
    """A parameter that a strategy or a backend of others declares: what it is, is not known here. So only what cannot
    be a secret is shown: a number, a switch, or a word too short for one."""
    harmless = _NUMBER.fullmatch(value) or len(value) < PART
    return value if harmless and not SECRET_NAME.search(name) else MASK


def is_alpacas(url: str) -> bool:
    """Whether it is a host of the venue's own."""
    host = (urlsplit(url).hostname or "").lower()
    return "%" not in host and (host == "alpaca.markets" or host.endswith(".alpaca.markets"))


def is_here(host: str) -> bool:
    """Whether it may lead to this machine, however it is spelt: 127.1, localhost., ::ffff:127.0.0.1, 0.0.0.0. For what
    is refused there; what is allowed there alone is held against LOOPBACK."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        try:
            address = ipaddress.ip_address(socket.inet_aton(name))  # 127.1 and 2130706433, as the resolver takes them
        except (OSError, ValueError):
            return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped.is_loopback or mapped.is_unspecified


def looks_real(key: str) -> bool:
    """Whether the venue may have given it out: a key of paper, live or broker accounts, not one made up for a try."""
    return _REAL_KEY.fullmatch(key) is not None


def _passwords(url: str) -> list[str]:
    """The password of a URL, as it stands there. A short one only with its neighbours: it may be a common word."""
    user_info = re.match(r"[^:/]+://([^/]*)@", url)
    if user_info is None or ":" not in user_info[1]:
        return []
    raw = user_info[1].partition(":")[2]
    return [f":{raw}@"] + ([raw, unquote(raw)] if len(raw) >= 8 else [])


def _settle_compilation(settings: Settings) -> None:
    """FORECASTER=kronos with KRONOS_COMPILE=1 becomes kronos-compiled, and the reverse. Runs while it is built."""
    trading = settings.trading
    for family in COMPILABLE:
        options: Kronos | Toto = settings.kronos if family == "kronos" else settings.toto
        if trading.family != family:
            continue
        compiled = trading.compiled or options.compile
        name = f"{family}-compiled" if compiled else family
        object.__setattr__(settings, "trading", trading.model_copy(update={"forecaster": name}))
        object.__setattr__(settings, family, options.model_copy(update={"compile": compiled}))


def _mode_rules(settings: Settings) -> Iterator[Problem]:
    trading = settings.trading
    live = trading.trading_mode == "live"
    if trading.paper is not None and trading.paper is live:
        right = "PAPER=0 or none" if live else "PAPER=1 or none"
        yield ("PAPER", "TRADING_MODE"), f"contradicts TRADING_MODE={trading.trading_mode}; right: {right}"
    if live and not trading.live_account:
        yield (
            ("LIVE_ACCOUNT", "TRADING_MODE"),
            "is missing: live trading must be given the number of the account that it is meant for",
        )
    if live and not trading.add_latest:
        yield ("ADD_LATEST", "TRADING_MODE"), "is off: live trading needs real quotes; right: ADD_LATEST=true"


def _compile_rules(settings: Settings) -> Iterator[Problem]:
    forecaster, toto = settings.trading.forecaster, settings.toto
    if toto.compile and toto.disable_compile:
        yield ("TOTO_DISABLE_COMPILE", "TOTO_COMPILE"), "contradicts TOTO_COMPILE=1; right: only one of the two on"
    if forecaster == "toto-compiled" and toto.disable_compile:
        yield ("TOTO_DISABLE_COMPILE", "FORECASTER"), "contradicts FORECASTER=toto-compiled; right: FORECASTER=toto"
    for family in COMPILABLE:
        options: Kronos | Toto = settings.kronos if family == "kronos" else settings.toto
        if forecaster == f"{family}-compiled" and not options.compile and "compile" in options.model_fields_set:
            name = f"{family.upper()}_COMPILE"
            yield (
                (name, "FORECASTER"),
                f"is 0, which contradicts FORECASTER={forecaster}; right: {name}=1, or FORECASTER={family}",
            )


def _key_rules(settings: Settings) -> Iterator[Problem]:
    key = settings.venue.alpaca_api_key_id.get_secret_value()
    secret = settings.venue.alpaca_api_secret_key.get_secret_value()
    mode = settings.trading.trading_mode
    if bool(key) != bool(secret):
        secret_name, key_name = "ALPACA_API_SECRET_KEY", "ALPACA_API_KEY_ID"
        names = (key_name, secret_name) if key else (secret_name, key_name)
        yield names, f"is given without {names[1]}; right: both, or neither"
    if mode == "live" and key.startswith("PK"):
        yield ("ALPACA_API_KEY_ID", "TRADING_MODE"), "is a paper key (PK...) in live mode; right: a live key (AK...)"
    if mode == "paper" and key.startswith("AK"):
        yield ("ALPACA_API_KEY_ID", "TRADING_MODE"), "is a live key (AK...) in paper mode; right: a paper key (PK...)"


def _url_rules(settings: Settings) -> Iterator[Problem]:
    """A mode and the place it talks to must be the same thing, and keys don't travel in the clear."""
    mode = settings.trading.trading_mode
    wrong_host = {"paper": LIVE_HOST, "live": PAPER_HOST}.get(mode)
    right_host = {"paper": PAPER_HOST, "live": LIVE_HOST}.get(mode)
    key = settings.venue.alpaca_api_key_id.get_secret_value()
    for field in ("alpaca_trading_url", "alpaca_trade_stream_url", "alpaca_data_url"):
        parts = urlsplit(getattr(settings.venue, field))
        host, name = (parts.hostname or "").lower(), field.upper()
        if not host:
            continue
        if host == wrong_host:
            yield (name, "TRADING_MODE"), f"is {host} in {mode} mode; right: {right_host}, or leave it empty"
        if mode == "sim" and is_alpacas(getattr(settings.venue, field)):
            yield (name, "TRADING_MODE"), "is the real venue in sim mode; right: TRADING_MODE=paper, or leave it empty"
        elif mode == "sim" and host not in LOOPBACK:
            yield (name, "TRADING_MODE"), "is another machine; right: this one's own exchange, http://127.0.0.1:PORT"
        if mode != "sim" and parts.scheme in ("http", "ws") and host not in LOOPBACK:
            yield (name,), f"would send the keys in the clear; right: {parts.scheme}s://{host}"
        if is_here(host) and (mode == "live" or (mode == "paper" and looks_real(key))):
            yield (
                (name, "TRADING_MODE"),
                (
                    "would send an account's keys to a port of this machine, which any user may listen on; right: "
                    "leave it empty, or TRADING_MODE=sim"
                ),
            )


_RULES: tuple[Callable[[Settings], Iterator[Problem]], ...] = (_mode_rules, _compile_rules, _key_rules, _url_rules)

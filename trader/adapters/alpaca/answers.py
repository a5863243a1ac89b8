"""What the venue's error answers mean: one table, the first line that fits decides.

Sources: Alpaca's OpenAPI documents (status codes of each call); its public reports, where the same 403 is said of keys,
of balance (40310000), of day-trade and margin protection (40310100) and of halted or volatile symbols (40310010), and
where good keys were answered 401 now and then for a day (alpacahq/Alpaca-API 118). So a code of the venue's own makes
a 403 one order's refusal, whatever the code is; only an answer without one can be about the keys, and a single answer
about keys is never the end (`Keys`). A code that nobody has seen before means "this was refused", never "stop".
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

from settings.redaction import clean
from trader.bounded.answers import Unreadable, read_json
from trader.errors import CredentialsRefused, KeysDoubted

LONGEST_HOLD_S = 60.0  # a Retry-After is obeyed up to here: positions are not left alone for an hour


class Meaning(StrEnum):
    KEYS = "keys"  # the keys were not taken: to be asked again before that is believed
    DUPLICATE = "duplicate"  # an order of this client id is there already
    REFUSED = "refused"  # this order, or this question
    ABSENT = "absent"  # there is no such thing
    LATER = "later"  # turned away at the door: too many requests
    TROUBLE = "trouble"  # the venue's own, or something between us: nobody knows what was done


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error answer, parsed as far as it can be. `code` is 0 where the body carries none."""

    status: int
    code: int
    message: str
    is_json: bool

    @classmethod
    def of(cls, status: int, text: str) -> Failure:
        try:
            body = read_json(text)
        except Unreadable:
            return cls(status=status, code=0, message=first_line(text), is_json=not text)
        if not isinstance(body, dict):
            return cls(status=status, code=0, message=first_line(text), is_json=True)
        code, message = body.get("code"), str(body.get("message") or text)
        known = code if isinstance(code, int) and not isinstance(code, bool) else 0
        return cls(status=status, code=known, message=first_line(message), is_json=True)

    @property
    def meaning(self) -> Meaning:
        return next(meaning for fits, meaning in TABLE if fits(self))

    def says(self, *words: str) -> bool:
        told = self.message.lower()
        return any(word in told for word in words)


def _is_duplicate(answer: Failure) -> bool:
    about_id = answer.code == 40010001 or "client_order_id" in answer.message
    return answer.status == 422 and about_id and answer.says("unique", "duplicate", "already exist")


TABLE: tuple[tuple[Callable[[Failure], bool], Meaning], ...] = (
    (lambda a: a.status == 401 or 40100000 <= a.code < 40200000, Meaning.KEYS),  # 40110000: not authorized
    (lambda a: a.status == 429, Meaning.LATER),
    (lambda a: a.status == 408 or a.status >= 500 or a.status < 400, Meaning.TROUBLE),
    (lambda a: not a.is_json, Meaning.TROUBLE),  # some proxy's page, whatever its status
    (lambda a: a.status == 403 and a.says("subscription"), Meaning.REFUSED),  # a data plan's limit
    (lambda a: a.status == 403 and a.code == 0, Meaning.KEYS),  # `forbidden.`
    (lambda a: a.status == 404, Meaning.ABSENT),
    (_is_duplicate, Meaning.DUPLICATE),
    (lambda a: True, Meaning.REFUSED),  # 403 and 422 with any code, 400, and what nobody has seen yet
)


def retry_after_s(header: str, now: datetime | None = None) -> float:
    """Seconds from a Retry-After header, in either of its two forms; 0 where there is none that can be read."""
    text = header.strip()
    if text.isdigit():
        return min(float(text), LONGEST_HOLD_S)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return min(max((at - (now or datetime.now(UTC))).total_seconds(), 0.0), LONGEST_HOLD_S)


class Keys:
    """Whether the venue still takes our keys. One answer that says no is asked again; so are minutes of them.

    confirm_s  how long nothing but refusals must come, on the monotonic clock, before the keys are given up; with 0
               that is at once, for commands that a person waits for
    """

    def __init__(self, confirm_s: float = 0.0, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._confirm_s = confirm_s
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._since: float | None = None
        self._refusals = 0
        self._told = ""
        self.on_doubt: Callable[[str], None] = lambda text: None  # told once, at the second refusal in a row

    def taken(self) -> None:
        """The trading API has answered something else: the keys are good."""
        with self._lock:
            self._since, self._refusals = None, 0

    def refused(self, answer: str, *, counts: bool = True) -> KeysDoubted | CredentialsRefused:
        """What to raise. `counts`: an answer of the trading API; market data may be refused to good keys."""
        with self._lock:
            now = self._monotonic()
            if counts:
                self._since = now if self._since is None else self._since
                self._refusals += 1
                self._told = answer
            confirmed = self._since is not None and now - self._since >= self._confirm_s
            begins = counts and self._refusals == 2
        if begins:
            self.on_doubt(self.doubt())
        if not self._confirm_s or (counts and confirmed):
            return CredentialsRefused(
                f"the venue refuses these keys ({answer}): check ALPACA_API_KEY_ID and its secret"
            )
        return KeysDoubted(f"the venue refuses these keys, for now ({answer})")

    def doubt(self) -> str:
        """Why no entry is to be made: from the second refusal in a row. "" where there is no doubt."""
        if self._refusals < 2 or self._since is None:
            return ""
        left = max(self._confirm_s - (self._monotonic() - self._since), 0.0)
        return f"the venue refuses the keys ({self._told}): asked again for {left:.0f} s more, then the daemon ends"


def first_line(text: str) -> str:
    """For a log line or an error."""
    return clean(text).strip().partition("\n")[0][:200]  # cut afterwards: a part of a key is a key

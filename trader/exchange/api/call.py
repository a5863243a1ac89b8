"""What a handler gets and gives: one call in, one reply out. No handler sees a socket."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trader.exchange.api.faults import Fired, Rule
from trader.exchange.engine.answers import VenueRefusal
from trader.exchange.engine.events import Refusal
from trader.exchange.venue import Venue


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. `faults` are the rules that fired on it, those that act on the answer's contents among them."""

    venue: Venue
    params: Mapping[str, str]
    path: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    faults: Sequence[Fired] = ()

    def fault(self, action: str) -> Rule | None:
        return next((fired.rule for fired in self.faults if fired.rule.action == action), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """`body` None: an empty one."""

    body: Any
    status: int = 200


Handler = Callable[[Call], Reply]


def not_found(message: str) -> VenueRefusal:
    return VenueRefusal(Refusal(status=404, code=40410000, message=message))

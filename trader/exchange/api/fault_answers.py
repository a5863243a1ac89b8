"""A handler's answer under the faults that fired on its request: from the past, with gaps, with other figures."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from trader.exchange.api.answer_changes import Entry, changed, chosen
from trader.exchange.api.call import Call, Handler, Reply, not_found
from trader.exchange.api.faults import Rule
from trader.exchange.api.lag import Past
from trader.exchange.engine.answers import VenueRefusal

_CHANGES = frozenset(["lack", "shuffle", "figure", "set", "inject"])


def answered(call: Call, handler: Handler, endpoint: str, past: Past) -> Reply:
    """What the handler says, then the changes in the script's order. Raises what the handler raises."""
    lag_rule = call.fault("lag_s")
    reply = handler(call) if lag_rule is None else _late(call, handler, lag_rule, past)
    for fired in call.faults:
        if fired.rule.action in _CHANGES and reply.body is not None:
            body = changed(fired, endpoint, reply.body)
            if body is None:
                raise not_found("not found")
            reply = replace(reply, body=body)
    return reply


def _late(call: Call, handler: Handler, rule: Rule, past: Past) -> Reply:
    """As it was; with a symbol or an order in the rule, only those entries are of the past."""
    if call.body:  # an order that is sent is of now
        return handler(call)
    past_call = replace(call, venue=past.venue_at(call.venue.now - timedelta(seconds=rule.amount)))
    if rule.symbol is None and rule.order is None:
        return handler(past_call)
    reply_now = _or_refusal(handler, call)
    if isinstance(reply_now, Reply) and isinstance(reply_now.body, list):
        past_body = handler(past_call).body
        return Reply(
            body=[*(e for e in past_body if _about(rule, e)), *(e for e in reply_now.body if not _about(rule, e))]
        )
    past_reply = _or_refusal(handler, past_call)
    reply = (
        past_reply if any(isinstance(r, Reply) and _about(rule, r.body) for r in (reply_now, past_reply)) else reply_now
    )
    if isinstance(reply, VenueRefusal):
        raise reply
    return reply


def _about(rule: Rule, body: Any) -> bool:
    return isinstance(body, dict) and chosen(rule, Entry(str(body.get("symbol", "")), body))


def _or_refusal(handler: Handler, call: Call) -> Reply | VenueRefusal:
    try:
        return handler(call)
    except VenueRefusal as no:
        return no

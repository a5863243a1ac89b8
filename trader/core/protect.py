"""The one exit that should rest now.

The venue refuses a second sell of the same quantity, so that one exit owns it and the other level is watched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from trader.core.decision import ExitPolicy, ExitRests, Levels
from trader.core.exit_price import is_watched
from trader.core.exits import (
    BPS,
    ExitWish,
    Held,
    away,
    exit_at_market,
    fallback_levels,
    floored_target,
    oco_order,
    stop_order,
    target_order,
    usable,
)
from trader.core.ids import purpose_of
from trader.core.portfolio import is_dust, orphans
from trader.core.types import (
    ZERO,
    AssetClass,
    EntrySide,
    Instrument,
    Order,
    OrderClass,
    OrderStatus,
    OrderType,
    Position,
    Purpose,
    Quote,
    TimeInForce,
)
from trader.core.values import altered, maker, quick

_new_held = maker(Held)
__all__ = ["ExitWish", "ProtectAction", "close_now", "fallback_levels", "orphans", "own_exits", "protect"]


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectAction:
    """keep: the venue id of the exit that goes on resting. cancel: venue ids, to be confirmed terminal first.

    `place` only when all in `cancel` are terminal; if one of them filled meanwhile, sync and ask again.
    With neither `keep` nor `place`, `reason` says why nothing rests (flat, dust, closed, waiting for a quote).
    """

    keep: str | None = None
    cancel: tuple[str, ...] = ()
    place: ExitWish | None = None
    reason: str = ""


_new_protect_action = maker(ProtectAction)


def protect(
    position: Position,
    quote: Quote | None,
    levels: Levels | None,
    policy: ExitPolicy,
    instrument: Instrument,
    now: datetime,
    resting: Sequence[Order],
    *,
    session_close: datetime | None,
    reopens: datetime | None = None,
    mark: Decimal | None = None,
    without: frozenset[Purpose] = frozenset(),
) -> ProtectAction:
    """What should rest, given all open orders of the symbol in `resting`.

    quote          None where there is none that is fit to act on (`exit_price.judge`)
    levels         None where none are known: then a stop `fallback_stop_bps` away
    session_close  of the stock session under way, None when the market is closed; crypto ignores it
    reopens        when the stock's next session opens, where that is known: what is due in the night is left before it
    mark           the price to act on where there is no quote; the stop rests then, for nobody watches it
    without        kinds that the venue keeps refusing here: another one rests, where there is one
    """
    exits = own_exits(resting)
    if position.qty == 0:
        return _new_protect_action(cancel=tuple(order.id for order in exits), reason="flat")
    held = _held(position, quote, policy, instrument, exits, session_close, mark)
    if is_dust(position, instrument, held.exit_price):
        # an entry there goes on: it is in the way of no stop, and nothing else will ever make this more than dust
        return _standing(exits, (), "dust: too small to be sold")
    if held.qty < instrument.min_qty or held.qty <= 0:
        return _standing(exits, _own_entries(resting), "held by another's order: nothing is free to be sold")
    levels = levels if levels is not None and levels.entry_side is position.entry_side else None
    due = _time_exit(held, levels, now, session_close, reopens)
    if due:
        return _leave(held, resting, Purpose.TIME_EXIT, due)
    if levels is not None and levels.keep is not None:
        less = _less(held, levels.keep, levels.why, exits, resting)
        if less is not None:
            return less
    going = next((order for order in exits if purpose_of(order) is Purpose.SIGNAL and _is_leaving(order)), None)
    if going is None or going.remaining >= held.qty:
        return _rest(held, levels, now, exits, resting, is_watched(held.quote, policy, now), without)
    # what stays is protected beside it: an order that a standing market keeps waiting must not leave the rest bare
    rest = altered(held, qty=held.qty - going.remaining)
    others = [order for order in resting if order is not going]
    remaining_exits = [order for order in exits if order is not going]
    return _rest(rest, levels, now, remaining_exits, others, is_watched(held.quote, policy, now), without)


def close_now(
    position: Position,
    quote: Quote | None,
    policy: ExitPolicy,
    instrument: Instrument,
    resting: Sequence[Order],
    purpose: Purpose,
    *,
    session_close: datetime | None,
    mark: Decimal | None = None,
) -> ProtectAction:
    """Out at the market, for flatten and kill: no level, floor or limit applies."""
    exits = own_exits(resting)
    if position.qty == 0:
        return _new_protect_action(cancel=tuple(order.id for order in exits), reason="flat")
    foreign_ids = tuple(order.id for order in resting if order.is_open and purpose_of(order) is None)
    if foreign_ids:  # a person wants to be out: nobody's order is to hold the quantity, or to stand against its sale
        return _standing(exits, _own_entries(resting), "in the way of leaving", *foreign_ids)
    held = _held(position, quote, policy, instrument, exits, session_close, mark)
    if held.qty < instrument.min_qty or held.qty <= 0:
        return _standing(exits, _own_entries(resting), "dust: nothing can be sold")
    return _leave(held, resting, purpose, purpose.value)


def own_exits(resting: Sequence[Order]) -> tuple[Order, ...]:
    """Our open orders that reduce, oldest first."""
    ours = [order for order in resting if order.is_open and (purpose := purpose_of(order)) and purpose.reduces]
    if len(ours) > 1:
        ours.sort(key=lambda order: (order.submitted_at, order.id))
    return tuple(ours)


def _own_entries(resting: Sequence[Order]) -> tuple[Order, ...]:
    """The rest of an entry that has begun to fill: it goes, for it blocks its own protective stop at the venue."""
    return tuple([order for order in resting if order.is_open and purpose_of(order) is Purpose.ENTRY])


def _held(
    position: Position,
    quote: Quote | None,
    policy: ExitPolicy,
    instrument: Instrument,
    exits: Sequence[Order],
    session_close: datetime | None,
    mark: Decimal | None,
) -> Held:
    free = position.qty_available + sum([order.remaining for order in exits], ZERO)
    side, possible = position.entry_side, usable(quote)
    return _new_held(
        position=position,
        side=side,
        qty=instrument.qty_down(min(max(free, ZERO), abs(position.qty))),
        instrument=instrument,
        policy=policy,
        quote=possible,
        exit_price=mark if possible is None else possible.bid if side is EntrySide.LONG else possible.ask,
        is_open=instrument.symbol.asset_class is AssetClass.CRYPTO or session_close is not None,
    )


# ---- out at the market ----


def _time_exit(
    held: Held, levels: Levels | None, now: datetime, session_close: datetime | None, reopens: datetime | None
) -> str:
    expires_at = None if levels is None else levels.expires_at
    if expires_at is not None and now >= expires_at:
        return f"held until {expires_at:%Y-%m-%dT%H:%M:%SZ}"
    policy = held.policy
    if held.is_crypto or session_close is None or now < session_close - policy.flat_before_close:
        return ""
    if not policy.stocks_overnight:
        return "flat before the close"
    in_the_night = expires_at is not None and reopens is not None and expires_at <= reopens
    return f"held until {expires_at:%Y-%m-%dT%H:%M:%SZ}, when the market is closed" if in_the_night else ""


def _leave(held: Held, resting: Sequence[Order], purpose: Purpose, reason: str) -> ProtectAction:
    exits, entries = own_exits(resting), _own_entries(resting)
    under_way = [order for order in exits if _is_leaving(order)]
    if under_way:
        cancels = (order for order in (*exits, *entries) if order is not under_way[0])
        return _new_protect_action(
            keep=under_way[0].id, cancel=tuple(order.id for order in cancels), reason=f"{reason}: under way"
        )
    wish = exit_at_market(held, purpose, reason)
    if wish is None:
        waiting = "the market is closed" if not held.is_open else "there is no quote"
        return _standing(exits, entries, f"{reason}: {waiting}")
    return _new_protect_action(cancel=tuple(order.id for order in (*exits, *entries)), place=wish, reason=wish.reason)


def _less(
    held: Held, keep: Decimal, why: str, exits: Sequence[Order], resting: Sequence[Order]
) -> ProtectAction | None:
    """Sells what is held beyond `keep`, all of it where the rest could not be sold again; None where that is nothing,
    is under way, or can't be done now: then what is held is protected as it is."""
    surplus = held.instrument.qty_down(held.qty - keep)
    if not keep or is_dust(altered(held.position, qty=keep * held.side.sign), held.instrument, held.exit_price):
        surplus = held.qty
    if surplus < held.instrument.min_qty or surplus <= 0 or any(map(_is_leaving, exits)):
        return None
    wish = exit_at_market(altered(held, qty=surplus), Purpose.SIGNAL, why)
    if wish is None:
        return None
    cancels = tuple(order.id for order in (*exits, *_own_entries(resting)))
    return _new_protect_action(cancel=cancels, place=wish, reason=wish.reason)


def _is_leaving(order: Order) -> bool:
    """An exit that is about to trade or to end by itself."""
    return order.type is OrderType.MARKET or order.tif is TimeInForce.IOC


def _standing(exits: Sequence[Order], entries: Sequence[Order], reason: str, *others: str) -> ProtectAction:
    """Nothing new: what rests goes on resting, one of them at most. `others`: ids that go, too."""
    keep = exits[0].id if exits else None
    gone = (*(order.id for order in (*exits[1:], *entries)), *others)
    return _new_protect_action(keep=keep, cancel=gone, reason=reason)


# ---- resting ----


def _rest(
    held: Held,
    levels: Levels | None,
    now: datetime,
    exits: Sequence[Order],
    resting: Sequence[Order],
    has_watch: bool,
    without: frozenset[Purpose],
) -> ProtectAction:
    entries, price = _own_entries(resting), held.exit_price
    stop = _stop_level(held, levels, exits, now)
    target = floored_target(held, levels.target) if levels is not None and levels.target is not None else None
    if any(_is_gapped(held, order) for order in exits) or (price is not None and held.beyond(price, stop)):
        return _stopped(held, stop, resting)
    wish = _resting_order(held, target, stop, exits, price if has_watch else None, without)
    if wish is None:
        waiting = "it takes no resting stop: watched" if held.is_open else "the market is closed"
        return _standing(exits, entries, f"stop {stop}: {waiting}")
    return _settle(held, wish, exits, entries)


def _stop_level(held: Held, levels: Levels | None, exits: Sequence[Order], now: datetime) -> Decimal:
    """The level's stop, or a fallback that stays where it is once it rests."""
    if levels is not None and levels.stop is not None:
        # of before the tick changed, it is on none: the venue would refuse it
        on_tick = not levels.stop % held.instrument.tick_at(levels.stop)
        return levels.stop if on_tick else away(levels.stop, held.side, held.instrument)
    # where it can't rest at the venue, a stop that followed the market would never be reached
    follows = levels is None and not held.is_fraction
    standing = [stop for order in exits if (stop := stop_of(order)) is not None]
    if follows and standing:
        return standing[0]
    quote = held.quote if follows else None
    stop = fallback_levels(held.position, quote, held.policy, held.instrument, now).stop
    assert stop is not None  # a fallback always has one
    return stop


def _resting_order(
    held: Held,
    target: Decimal | None,
    stop: Decimal,
    exits: Sequence[Order],
    price: Decimal | None,
    without: frozenset[Purpose],
) -> ExitWish | None:
    if held.is_fraction:
        return target_order(held, target) if target is not None and held.is_open else None
    if target is not None and Purpose.STOP in without and held.is_open:
        return target_order(held, target)  # beside a person's order, say, that no stop may rest beside
    if not held.is_crypto:
        is_pair = target is not None and Purpose.PROTECT not in without
        return oco_order(held, target, stop) if target is not None and is_pair else stop_order(held, stop)
    if target is not None and _rests(held, target, stop, exits, price) is Purpose.TARGET:
        return target_order(held, target)
    return stop_order(held, stop)


def _rests(held: Held, target: Decimal, stop: Decimal, exits: Sequence[Order], price: Decimal | None) -> Purpose:
    """Which of the two owns the quantity. `price` None: nobody watches, so that the stop does."""
    if price is None or price <= 0:
        return Purpose.STOP
    if price * held.side.sign >= target * held.side.sign:
        return Purpose.TARGET  # reached: to be taken now, whatever rests by preference
    if held.policy.exit_rests is not ExitRests.NEAREST:
        return Purpose.TARGET if held.policy.exit_rests is ExitRests.TARGET else Purpose.STOP
    now = next((purpose for order in exits if (purpose := purpose_of(order)) in (Purpose.TARGET, Purpose.STOP)), None)
    to_target, to_stop = abs(target - price) / price * BPS, abs(price - stop) / price * BPS
    margin = held.policy.hysteresis_bps
    if now is Purpose.TARGET:
        return Purpose.STOP if to_stop + margin < to_target else Purpose.TARGET
    if now is Purpose.STOP:
        return Purpose.TARGET if to_target + margin < to_stop else Purpose.STOP
    return Purpose.TARGET if to_target < to_stop else Purpose.STOP


def _settle(held: Held, wish: ExitWish, exits: Sequence[Order], entries: Sequence[Order]) -> ProtectAction:
    """The wish against what rests: keep it if it is there, else everything of ours makes room for it."""
    under_way = next((order for order in exits if _is_leaving(order)), None)
    if wish.qty != held.qty:
        return _settle_pieces(held, wish, exits, entries)
    keep = next((order for order in exits if _is(order, wish)), under_way)
    cancel = tuple(order.id for order in (*exits, *entries) if order is not keep)
    if keep is None:
        return _new_protect_action(cancel=cancel, place=wish, reason=wish.reason)
    return _new_protect_action(keep=keep.id, cancel=cancel, reason="under way" if keep is under_way else wish.reason)


def _settle_pieces(held: Held, wish: ExitWish, exits: Sequence[Order], entries: Sequence[Order]) -> ProtectAction:
    """More than the venue takes in one order: several rest, each placed after the other. Those that rest as is wished
    stay as large as they are: what one order may hold moves with the market."""
    kept_ids, missing_qty = list[str](), held.qty
    for order in exits:
        if order.remaining <= missing_qty and _is(order, altered(wish, qty=order.remaining)):
            kept_ids.append(order.id)
            missing_qty -= order.remaining
    piece = held.piece(wish.limit_price, missing_qty)
    return _new_protect_action(
        keep=kept_ids[0] if kept_ids else None,
        cancel=tuple(order.id for order in (*exits, *entries) if order.id not in kept_ids),
        place=altered(wish, qty=piece) if piece >= held.instrument.min_qty else None,
        reason=wish.reason,
    )


def _is(order: Order, wish: ExitWish) -> bool:
    same_stop = stop_of(order) == wish.stop_price or (order.order_class is OrderClass.OCO and not order.legs)
    return (
        purpose_of(order) is wish.purpose
        and order.status is not OrderStatus.PENDING_CANCEL
        and order.order_class is wish.order_class
        and order.type is wish.type
        and order.remaining == wish.qty
        and order.limit_price == wish.limit_price
        and same_stop
    )


# ---- the stop is reached ----


def _stopped(held: Held, stop: Decimal, resting: Sequence[Order]) -> ProtectAction:
    """A stop at the venue that still can fill does its work; where there is none, or it was jumped over: out now."""
    exits, entries = own_exits(resting), _own_entries(resting)
    working = next((order for order in exits if _works(held, order, stop)), None)
    if working is not None:
        cancels = (order.id for order in (*exits, *entries) if order is not working)
        return _new_protect_action(keep=working.id, cancel=tuple(cancels), reason=f"stop {stop}: reached, at the venue")
    return _leave(held, resting, Purpose.STOP, f"stop {stop} reached")


def _works(held: Held, order: Order, stop: Decimal) -> bool:
    if order.status is OrderStatus.PENDING_CANCEL or _is_gapped(held, order) or order.remaining != held.qty:
        return False
    level = stop_of(order)
    if level is None:
        return order.order_class is OrderClass.OCO
    return held.beyond(stop, level)


def _is_gapped(held: Held, order: Order) -> bool:
    """A stop-limit whose limit the market has left behind: it can't fill any more."""
    price = held.exit_price
    if order.type is not OrderType.STOP_LIMIT or order.limit_price is None or price is None:
        return False
    return price * held.side.sign < order.limit_price * held.side.sign


def stop_of(order: Order) -> Decimal | None:
    """Its stop price, or that of its stop leg."""
    if order.stop_price is not None:
        return order.stop_price
    return next((leg.stop_price for leg in order.legs if leg.is_open and leg.stop_price is not None), None)

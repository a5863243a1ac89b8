"""Protection, whatever there is: properties over any position, quote, levels, policy and open orders."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.core.make import BTC, CLOSE, NOW, SPY, instrument, levels, order, quote, resting
from trader.core.decision import ExitPolicy, ExitRests, Levels
from trader.core.exits import break_even
from trader.core.protect import protect
from trader.core.types import (
    EntrySide,
    Order,
    OrderClass,
    OrderStatus,
    OrderType,
    Position,
    Purpose,
    Quote,
    TimeInForce,
)

D = Decimal

PRICE = st.integers(5_000, 15_000).map(lambda cents: str(D(cents) / 100))
MAYBE_PRICE = st.one_of(st.none(), PRICE)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Position, Quote | None, Levels | None, ExitPolicy, list[Order], bool]:
    share = draw(st.booleans())
    symbol = SPY if share else BTC
    side = draw(st.sampled_from(EntrySide)) if share else EntrySide.LONG
    units = draw(st.sampled_from(["1", "7", "12.5", "0.3", "0.01", "250"]))
    qty = D(units) * side.sign
    at: Levels | None = None
    if draw(st.booleans()):
        low, high = sorted([draw(PRICE), draw(PRICE)], key=D)
        target, stop = (high, low) if side is EntrySide.LONG else (low, high)
        at = levels(
            symbol,
            draw(st.sampled_from([target, None])),
            draw(st.sampled_from([stop, None])),
            entry_side=draw(st.sampled_from([side, side, EntrySide.LONG])),
            expires_at=draw(st.sampled_from([None, NOW, NOW + timedelta(hours=1)])),
        )
    orders: list[Order] = []
    free = abs(qty)
    for index in range(draw(st.integers(0, 3))):
        mine = draw(st.sampled_from([Purpose.TARGET, Purpose.STOP, Purpose.TIME_EXIT, Purpose.ENTRY, None]))
        size = free if draw(st.booleans()) else min(free, D("0.5"))
        direction = side.opening if mine is Purpose.ENTRY else side.closing
        if direction is side.closing:
            if size <= 0:
                continue
            free -= size
        kind = OrderType.STOP_LIMIT if mine is Purpose.STOP else OrderType.LIMIT
        orders.append(
            order(
                mine, symbol, direction, str(size or 1), name=f"o{index}", type=kind, limit_price=D(draw(PRICE)),
                stop_price=D(draw(PRICE)) if kind is OrderType.STOP_LIMIT else None,
                tif=draw(st.sampled_from(TimeInForce)),
                status=draw(st.sampled_from([OrderStatus.NEW, OrderStatus.PENDING_CANCEL])),
            )
        )  # fmt: skip
    mid = draw(MAYBE_PRICE)
    held = Position(symbol=symbol, qty=qty, qty_available=free, avg_entry_price=D(draw(PRICE)), mark=None)
    policy = ExitPolicy(exit_rests=draw(st.sampled_from(ExitRests)), stocks_overnight=draw(st.booleans()))
    return held, quote(symbol, mid) if mid else None, at, policy, orders, draw(st.booleans())


@settings(max_examples=150, deadline=None)
@given(scenes())
def test_guard_08_never_two_exits_and_never_more_than_is_ours(
    scene: tuple[Position, Quote | None, Levels | None, ExitPolicy, list[Order], bool],
) -> None:
    held, seen, at, policy, orders, is_open = scene
    asset = instrument(held.symbol)
    action = protect(held, seen, at, policy, asset, NOW, orders, session_close=CLOSE if is_open else None)
    ours = {o.id: o for o in orders if not o.client_order_id.startswith("by-hand")}
    exits = {name for name, o in ours.items() if "-entry-" not in o.client_order_id}
    assert set(action.cancel) <= set(ours)
    assert action.keep is None or action.place is None
    assert exits - set(action.cancel) <= {action.keep}
    assert action.reason
    if action.place is None:
        return
    wish, side = action.place, held.entry_side
    assert exits <= set(action.cancel)
    freed = sum((ours[name].remaining for name in exits), D(0))
    assert 0 < wish.qty <= min(abs(held.qty), held.qty_available + freed)
    assert wish.qty == asset.qty_down(wish.qty) >= asset.min_qty
    for price in (wish.limit_price, wish.stop_price):
        assert price is None or (price > 0 and price == asset.price_down(price))
    assert wish.purpose.reduces
    assert wish.entry_side is side
    if wish.purpose in (Purpose.TARGET, Purpose.PROTECT):
        assert wish.limit_price is not None
        floor = break_even(held.avg_entry_price, side, asset)
        assert wish.limit_price * side.sign >= floor * side.sign
    if wish.qty != wish.qty.to_integral_value() and held.symbol == SPY:
        assert wish.tif is TimeInForce.DAY
    if held.symbol == BTC:
        assert wish.order_class is OrderClass.SIMPLE
        assert wish.tif in (TimeInForce.GTC, TimeInForce.IOC)
        assert wish.type in (OrderType.LIMIT, OrderType.STOP_LIMIT)


@settings(max_examples=100, deadline=None)
@given(scenes())
def test_what_was_placed_is_kept_while_nothing_changes(
    scene: tuple[Position, Quote | None, Levels | None, ExitPolicy, list[Order], bool],
) -> None:
    held, seen, at, policy, orders, is_open = scene
    close, asset = (CLOSE if is_open else None), instrument(held.symbol)
    action = protect(held, seen, at, policy, asset, NOW, orders, session_close=close)
    assume(action.place is not None)
    assert action.place is not None
    left = [o for o in orders if o.id not in action.cancel]
    there = [*left, resting(action.place, "fresh")]
    foreign = sum((o.remaining for o in left if o.side is held.entry_side.closing), D(0))
    after = replace(held, qty_available=max(abs(held.qty) - foreign - action.place.qty, D(0)))
    again = protect(after, seen, at, policy, asset, NOW, there, session_close=close)
    assert (again.keep, again.cancel, again.place) == ("fresh", (), None)

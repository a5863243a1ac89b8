"""Cancel, replace, and what the account shows."""

from __future__ import annotations

from decimal import Decimal

from tests.counting import calls_in
from trader.core.types import OrderStatus
from trader.exchange.engine.engine import account_figures, apply
from trader.exchange.engine.events import Phase, Refusal, Replace

from .scene import AAPL, BTC, BUY, DAY, GTC, IOC, LIMIT, MARKET, SELL, SPY, STOP_LIMIT, Scene


def resting(limit: int = 90, qty: int = 4) -> tuple[Scene, str]:
    scene = Scene(volume_share=Decimal("0.5"))
    scene.open(100)
    return scene, scene.submit(BUY, LIMIT, qty, limit=limit)


def patch(scene: Scene, order_id: str, **changes: Decimal | int) -> None:
    fields = {name: Decimal(value) for name, value in changes.items()}
    event = Replace(at=scene.at, order_id=order_id, new_order_id="new-id", client_order_id="new-client", **fields)  # type: ignore[arg-type]
    scene.send(event)


def test_a_cancel_ends_the_order_once_and_a_second_one_changes_nothing() -> None:
    scene, order_id = resting()
    scene.cancel(order_id)
    assert scene.orders[order_id].status is OrderStatus.CANCELED
    before = scene.books
    scene.cancel(order_id)
    assert isinstance(scene.last[0], Refusal)
    assert scene.books is before


def test_a_cancel_after_a_partial_fill_keeps_what_was_filled() -> None:
    scene, order_id = resting()
    scene.tape(Phase.FIRST, 89, 100, 100, volume=2)
    scene.cancel(order_id)
    assert scene.orders[order_id].filled_qty == 1
    assert account_figures(scene.books).reserved == 0


def test_a_replacement_takes_the_place_of_the_old_order() -> None:
    scene, order_id = resting()
    patch(scene, order_id, limit_price=91, qty=5)
    assert scene.words == ["replaced", "new"]
    assert scene.orders[order_id].replaced_by == "new-id"
    new = scene.books.orders["new-id"]
    assert (new.replaces, new.qty, new.limit_price, len(scene.books.orders)) == (order_id, 5, 91, 1)


def test_a_replacement_counts_what_has_filled() -> None:
    scene, order_id = resting()
    scene.tape(Phase.FIRST, 89, 100, 100, volume=2)
    patch(scene, order_id, qty=1)
    assert (scene.refusal.status, scene.refusal.code) == (422, 42210000)
    patch(scene, order_id, qty=3)
    assert scene.books.orders["new-id"].qty == 2


def test_a_refused_replacement_leaves_the_old_order_as_it_was() -> None:
    scene, order_id = resting()
    patch(scene, order_id, qty=1000)
    assert scene.refusal.status == 403
    assert order_id in scene.books.orders


def test_a_replacement_that_has_become_marketable_fills_at_once() -> None:
    scene, order_id = resting()
    patch(scene, order_id, limit_price=101)
    assert scene.words == ["replaced", "new", "fill"]


def test_a_replacement_inside_a_bar_waits_for_the_next_one_like_any_arrival() -> None:
    scene, order_id = resting()
    scene.tape(Phase.FIRST, 95, 100, 95)
    patch(scene, order_id, limit_price=92)
    scene.tape(Phase.SECOND, 80, 100, 100)
    assert scene.fills == []


def test_the_account_shows_what_is_held_and_what_is_free() -> None:
    scene = Scene()
    scene.open(100)
    scene.submit(BUY, MARKET, 2)
    scene.submit(SELL, LIMIT, 1, limit=120)
    scene.tape(Phase.FIRST, 100, 110, 110)
    figures = account_figures(scene.books)
    (position,) = figures.positions
    assert (position.qty, position.qty_available) == (Decimal("1.995"), Decimal("0.995"))
    assert (position.avg_entry_price, position.mark) == (Decimal("100.5"), 110)
    assert position.unrealized_pl == Decimal("1.995") * Decimal("9.5")
    assert figures.cash == Decimal(10_000) - 201
    assert figures.equity == figures.cash + Decimal("1.995") * 110
    assert figures.non_marginable_buying_power == figures.cash


def test_a_short_is_a_negative_position_and_takes_power() -> None:
    scene = Scene()
    scene.open(100, symbol=SPY)
    scene.submit(SELL, MARKET, 10, symbol=SPY)
    figures = account_figures(scene.books)
    assert (figures.short_market_value, figures.cash, figures.equity) == (-1000, 10_995, 9_995)
    assert figures.buying_power == 8_995
    scene.submit(BUY, MARKET, 10, symbol=SPY)
    assert not scene.books.holdings


def test_a_holding_that_is_sold_out_disappears() -> None:
    scene = Scene()
    scene.open(100)
    scene.submit(BUY, MARKET, 1)
    scene.submit(SELL, LIMIT, "0.9975", limit=90, tif=IOC)
    assert not scene.books.holdings


def test_ids_are_derived_so_that_equal_runs_give_equal_outputs() -> None:
    def run() -> Scene:
        scene = Scene()
        scene.open(100)
        scene.submit(BUY, MARKET, 1)
        scene.submit(SELL, STOP_LIMIT, "0.5", stop=90, limit=89, tif=GTC)
        scene.tape(Phase.FIRST, 89, 100, 90)
        return scene

    one, two = run(), run()
    assert (one.books, one.outputs) == (two.books, two.outputs)
    assert len({fill.id for fill in one.fills}) == len(one.fills)


def test_a_tape_costs_next_to_nothing_for_each_order_of_another_symbol() -> None:
    def calls(others: int) -> int:
        scene = Scene(cash=1_000_000)
        scene.open(100)
        scene.tape(Phase.OPEN, 100, symbol=SPY)
        for _ in range(others):
            scene.submit(BUY, LIMIT, 1, limit=90, symbol=SPY)
        for limit in (90, 91):
            scene.submit(BUY, LIMIT, 1, limit=limit)
        tape, books = scene.books.tapes[BTC], scene.books
        return calls_in(lambda: apply(books, tape))

    alone = calls(0)
    assert alone <= 100  # about 30
    assert calls(200) <= alone + 4 * 200  # looked at, and let lie


def both_open() -> Scene:
    scene = Scene()
    scene.open(100)
    for symbol in (SPY, AAPL):
        scene.tape(Phase.OPEN, 100, symbol=symbol)
    return scene


def test_open_buys_and_shorts_reserve_buying_power_and_pending_sells_do_not_restore_it() -> None:
    scene = both_open()
    scene.submit(BUY, LIMIT, 50, limit=100)
    scene.submit(SELL, LIMIT, 40, limit=110, symbol=SPY)  # reserves 4,400
    scene.submit(BUY, LIMIT, 7, limit=90, symbol=AAPL)
    assert scene.refusal.extra == {"buying_power": "600", "cost_basis": "630"}


def test_margin_applies_to_stocks_and_never_to_crypto() -> None:
    scene = Scene(margin_multiplier=Decimal(2))
    scene.open(100)
    scene.tape(Phase.OPEN, 100, symbol=SPY)
    scene.submit(BUY, LIMIT, 101, limit=100)
    assert scene.refusal.status == 403
    scene.submit(BUY, LIMIT, 199, limit=100, symbol=SPY)
    assert scene.words == ["new"]


def test_an_order_by_value_is_sized_at_the_quote_and_rounded_down() -> None:
    scene = both_open()
    order_id = scene.submit(BUY, MARKET, None, notional=10)
    assert scene.orders[order_id].qty == Decimal("0.099502487")
    assert scene.orders[order_id].notional == 10


def test_the_smallest_orders_pass() -> None:
    scene = both_open()
    scene.submit(BUY, LIMIT, "0.1", limit=100, tif=GTC)
    assert scene.words == ["new"]
    scene.submit(BUY, LIMIT, 1, limit="0.9999", symbol=SPY)
    assert scene.words == ["new"]
    scene.submit(BUY, MARKET, "0.000000001", symbol=SPY, tif=DAY)
    assert scene.words == ["new", "fill"]

"""What holds after any sequence of events: money is conserved, nothing is overfilled, nothing raises."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trader.core.types import ZERO, OrderClass, OrderSide, OrderType, Symbol, TimeInForce
from trader.exchange.engine.accounting import account_figures, held_for_orders
from trader.exchange.engine.engine import apply
from trader.exchange.engine.events import (
    Books,
    Cancel,
    Due,
    Event,
    Halted,
    OrderEvent,
    Output,
    Phase,
    Refusal,
    Replace,
    SessionEnd,
    SimOrder,
    Submit,
    Tape,
)
from trader.exchange.engine.matching import on_tape, rests_on
from trader.exchange.engine.waiting import next_due
from trader.exchange.engine.working_books import Desk

from .scene import AAPL, BTC, BUY, SPY, START, Scene

Choice = tuple[str, int, int, int, int, int]  # a kind and five small numbers, read differently by each kind
SHARE = Decimal("0.25")
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
_KINDS = ("tape",) * 6 + ("submit",) * 6 + ("cancel", "replace", "session", "halt")
choices = st.lists(
    st.tuples(
        st.sampled_from(_KINDS),
        st.integers(0, 50),
        st.integers(0, 50),
        st.integers(0, 50),
        st.integers(0, 50),
        st.integers(0, 50),
    ),
    max_size=60,
)


class Checked(Scene):
    """A scene that holds every law after each event."""

    def __init__(self, symbols: Sequence[Symbol], **rules: Decimal) -> None:
        super().__init__(cash=5_000, volume_share=SHARE, touch_share=Decimal("0.1"), **rules)
        self.symbols = symbols
        self.phases = dict.fromkeys(symbols, 3)
        self.long_only = SPY not in symbols
        self.before, self.on_tape = self.books, False
        self.passed = 0  # fills of stops that fired inside a bar
        self.passed_over = 0  # tapes that met open orders and could touch none
        self.count = 0
        self.ledger = Ledger()

    def send(self, event: Event) -> tuple[Output, ...]:
        before, found = self.books, super().send(event)
        if isinstance(event, Tape) and all(rests_on(order, event) for order in before.orders.values()):
            desk = Desk(before, event.at)  # what was passed over would have come to the same
            on_tape(desk, event, before)
            assert (desk.books(), desk.outputs) == (self.books, [])
            self.passed_over += bool(before.orders)
        return found

    def play(self, choice: Choice) -> None:
        kind, a, b, c, d, e = choice
        self.before, self.on_tape = self.books, kind == "tape"
        symbol = self.symbols[a % len(self.symbols)]
        if kind == "tape":
            self._play_tape(symbol, b, c, d, e)
        elif kind == "submit":
            self._play_submit(symbol, b, c, d, e)
        else:
            self._play_other(kind, symbol, b, c, d)
        self._hold_laws()

    def _play_tape(self, symbol: Symbol, b: int, c: int, d: int, e: int) -> None:
        self.phases[symbol] = (self.phases[symbol] + 1) % 4
        low = 80 + b % 40
        ended = low + c % 10
        self.tape(
            Phase(self.phases[symbol]),
            low,
            max(low + d % 15, ended),
            ended,
            symbol=symbol,
            volume=e,
            quoted=e % 11 != 0,
            spread=("0.5", "0.06")[d % 2] if e % 7 else -1,
        )

    def _play_submit(self, symbol: Symbol, b: int, c: int, d: int, e: int) -> None:
        price = 80 + c % 40
        kind = list(OrderType)[b % 4]
        order_class = (OrderClass.SIMPLE, OrderClass.SIMPLE, OrderClass.OCO, OrderClass.BRACKET)[d % 4]
        side = OrderSide.BUY if e % 2 else OrderSide.SELL
        complex_ = order_class is not OrderClass.SIMPLE
        up = (side is BUY) == (order_class is OrderClass.BRACKET)
        has_limit = kind in (OrderType.LIMIT, OrderType.STOP_LIMIT) and order_class is not OrderClass.OCO
        self.submit(
            side,
            OrderType.LIMIT if order_class is OrderClass.OCO else kind,
            1 + d % 12 if e % 5 else Decimal(1 + d) / 7 // Decimal("1e-9") * Decimal("1e-9"),
            symbol=symbol,
            tif=list(TimeInForce)[(b + c) % 3],
            limit=price + e % 3 if has_limit else None,
            stop=price
            if kind in (OrderType.STOP, OrderType.STOP_LIMIT) and order_class is not OrderClass.OCO
            else None,
            order_class=order_class,
            take_profit=(price + 5 if up else price - 5) if complex_ else None,
            stop_loss=(price - 5 if up else price + 5) if complex_ else None,
            market_open=e % 9 != 0,
        )

    def _play_other(self, kind: str, symbol: Symbol, b: int, c: int, d: int) -> None:
        ids = [*self.books.orders, "nobody"]
        order_id = ids[b % len(ids)]
        if kind == "cancel":
            self.send(Cancel(at=self.at, order_id=order_id))
        elif kind == "replace":
            self.count += 1
            name = f"replacement-{self.count}"
            limit = Decimal(80 + d) if c % 2 else None
            self.send(
                Replace(
                    at=self.at,
                    order_id=order_id,
                    new_order_id=name,
                    client_order_id=name,
                    qty=Decimal(c),
                    limit_price=limit,
                )
            )
        elif kind == "session":
            self.send(SessionEnd(at=self.at))
        else:
            self.send(Halted(at=self.at, symbol=symbol, halted=b % 2 == 0))

    def come_due(self) -> None:
        self.before, self.on_tape = self.books, False
        on_their_way = {order.id for order in self.books.orders.values() if order.arrives_at is not None}
        self.send(Due(at=self.at))
        for order in self.books.orders.values():
            assert order.leaves_at is None or order.leaves_at > self.at
            assert order.arrives_at is None or order.arrives_at > self.at
        assert not {o.order.id for o in self.last if isinstance(o, OrderEvent) and o.event == "new"} - (
            on_their_way | {leg for order in self.orders.values() for leg in order.leg_ids}
        )
        self._hold_laws()

    # ---- the laws ----

    def _hold_laws(self) -> None:
        self._fills_are_fair()
        self.ledger.book(self.last)
        self.ledger.agrees_with(self.books)
        for symbol in self.symbols:
            held, qty = held_for_orders(self.books, symbol), self.qty(symbol)
            assert ZERO <= held <= abs(qty), (symbol, held, qty)
            if self.long_only:
                assert qty >= 0
            tape = self.books.tapes.get(symbol)
            if tape is not None:
                assert self.books.used.get(symbol, ZERO) <= tape.volume * SHARE
        assert all(holding.qty != 0 for holding in self.books.holdings.values())
        if self.long_only:
            assert self.books.cash >= 0
        for order in self.books.orders.values():
            assert not order.status.is_terminal
            assert ZERO <= order.filled_qty < order.qty
            pair = self.books.orders.get(order.sibling_id or "")
            assert pair is None or pair.qty - pair.filled_qty == order.qty - order.filled_qty

    def _fills_are_fair(self) -> None:
        for output in self.last:
            if not isinstance(output, OrderEvent) or output.execution is None:
                continue
            order, fill = output.order, output.execution
            tape = self.books.tapes[order.symbol]
            assert order.symbol not in self.books.halted
            assert fill.qty > 0
            assert order.filled_qty <= order.qty
            allowed = {order.limit_price}
            if tape.quote is not None and tape.quote.bid <= tape.quote.ask:
                allowed.add(tape.quote.ask if fill.side is BUY else tape.quote.bid)
            if self._fired_inside_a_bar(order, tape):
                self.passed += 1
                beyond = _half_a_spread_beyond(order, tape)
                assert (fill.price - beyond) * fill.side.sign >= 0  # never better than the book as it passed there
                allowed.add(beyond)
            assert fill.price in allowed
            if order.limit_price is not None:
                assert (fill.price - order.limit_price) * fill.side.sign <= 0

    def _fired_inside_a_bar(self, order: SimOrder, tape: Tape) -> bool:
        if order.stop_price is None or not self.on_tape or tape.phase is Phase.OPEN:
            return False
        return not self.before.orders[order.id].triggered


def _half_a_spread_beyond(order: SimOrder, tape: Tape) -> Decimal:
    """A stop's price on the far side of the tape's book, were its middle at the stop: on the cent, to the worse."""
    assert tape.quote is not None
    assert order.stop_price is not None
    half = (tape.quote.ask - tape.quote.bid) / 2
    if order.side is BUY:
        return (order.stop_price + half).quantize(Decimal("0.01"), ROUND_CEILING)
    return (order.stop_price - half).quantize(Decimal("0.01"), ROUND_FLOOR)


class Ledger:
    """Cash and holdings as the executions and their fees say, by arithmetic of its own."""

    def __init__(self) -> None:
        self.cash, self.units = Decimal(5_000), dict.fromkeys((BTC, SPY, AAPL), ZERO)
        self.ids: set[str] = set()

    def book(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            fill = output.execution if isinstance(output, OrderEvent) else None
            if fill is None:
                continue
            signed = fill.qty if fill.side is BUY else -fill.qty
            self.cash -= signed * fill.price
            self.units[fill.symbol] += signed
            if fill.fee_currency == "USD":
                self.cash -= fill.fee
            else:
                self.units[fill.symbol] -= fill.fee
            assert fill.id not in self.ids
            self.ids.add(fill.id)

    def agrees_with(self, books: Books) -> None:
        assert books.cash == self.cash
        assert {s: q for s, q in self.units.items() if q} == {s: h.qty for s, h in books.holdings.items()}
        assert len(self.ids) == books.executions


@QUICK
@given(choices)
def test_long_only_books_hold_every_law(played: list[Choice]) -> None:
    scene = Checked((BTC, AAPL))
    for choice in played:
        scene.play(choice)


@QUICK
@given(choices)
def test_books_with_shorts_hold_every_law(played: list[Choice]) -> None:
    scene = Checked((SPY,))
    for choice in played:
        scene.play(choice)


_BOTH = pytest.mark.parametrize("symbols", [(BTC, AAPL), (SPY,), (BTC, SPY)], ids=["long only", "shorts", "both"])


@_BOTH
def test_long_random_runs_hold_every_law(symbols: tuple[Symbol, ...]) -> None:
    _run_at_random(symbols, seeds=range(60), steps=150)


@pytest.mark.slow
@_BOTH
def test_much_longer_random_runs_hold_every_law(symbols: tuple[Symbol, ...]) -> None:
    _run_at_random(symbols, seeds=range(1_000, 1_400), steps=600)


@_BOTH
def test_orders_that_come_and_go_slowly_hold_every_law(symbols: tuple[Symbol, ...]) -> None:
    """Some arrive before the next tape and some after it; a cancel may come before the arrival."""
    waited = 0
    for seed in range(30):
        dice = random.Random(seed)
        scene = Checked(symbols, accept_s=Decimal(dice.choice([1, 600, 2000])), cancel_s=Decimal(dice.choice([0, 900])))
        for _ in range(150):
            scene.play((dice.choice(_KINDS), *(dice.randint(0, 50) for _ in range(5))))  # type: ignore[arg-type]
            due = next_due(scene.books.orders.values())
            if due is not None and (due <= scene.at or dice.random() < 0.3):
                scene.at = max(scene.at, due)
                waited += 1
                scene.come_due()
        assert all(fill.at >= START for fill in scene.fills)
    assert waited > 300


def _run_at_random(symbols: tuple[Symbol, ...], *, seeds: range, steps: int) -> None:
    fills = passed = 0
    for seed in seeds:
        dice = random.Random(seed)
        scene = Checked(symbols)
        for _ in range(steps):
            scene.play((dice.choice(_KINDS), *(dice.randint(0, 50) for _ in range(5))))  # type: ignore[arg-type]
        fills, passed = fills + len(scene.fills), passed + scene.passed
    assert fills > 100  # or the laws were held over nothing
    assert passed > 20


@settings(QUICK, max_examples=20)
@given(choices)
def test_equal_inputs_give_equal_outputs(played: list[Choice]) -> None:
    one, two = Checked((BTC, SPY)), Checked((BTC, SPY))
    for choice in played:
        one.play(choice)
        two.play(choice)
    assert (one.books, one.outputs) == (two.books, two.outputs)


@settings(QUICK, max_examples=30)
@given(choices)
def test_an_event_never_changes_the_books_that_it_was_given(played: list[Choice]) -> None:
    scene = Checked((BTC, SPY))
    for choice in played:
        before, copy = scene.books, _copied(scene.books)
        scene.play(choice)
        assert _copied(before) == copy


@settings(QUICK, max_examples=30)
@given(choices)
def test_a_cancel_is_idempotent(played: list[Choice]) -> None:
    scene = Checked((BTC, SPY))
    for choice in played:
        scene.play(choice)
    for order_id in list(scene.books.orders):
        if order_id not in scene.books.orders:
            continue  # went with its pair
        scene.cancel(order_id)
        once = scene.books
        assert order_id not in once.orders
        scene.cancel(order_id)
        assert isinstance(scene.last[0], Refusal)
        assert scene.books is once
    assert account_figures(scene.books).reserved == 0


_NUMBERS = st.sampled_from(
    [
        Decimal(x)
        for x in ("0", "-1", "1", "100", "0.1", "1e-30", "1e-9", "1e12", "1e30", "1e9999", "NaN", "sNaN", "Infinity")
    ]
) | st.decimals(allow_nan=True)
_SYMBOLS = st.sampled_from([BTC, SPY, AAPL, Symbol("NOPE"), Symbol("ETH/BTC")])
_MAYBE = st.none() | _NUMBERS
_WILD: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        Submit,
        at=st.just(START),
        order_id=st.sampled_from("abcdef"),
        client_order_id=st.sampled_from("uvwxyz"),
        symbol=_SYMBOLS,
        side=st.sampled_from(OrderSide),
        type=st.sampled_from(OrderType),
        tif=st.sampled_from(TimeInForce),
        qty=_MAYBE,
        notional=_MAYBE,
        limit_price=_MAYBE,
        stop_price=_MAYBE,
        order_class=st.sampled_from(OrderClass),
        take_profit=_MAYBE,
        stop_loss=_MAYBE,
        stop_loss_limit=_MAYBE,
        market_open=st.booleans(),
    ),
    st.builds(
        Tape,
        symbol=_SYMBOLS,
        at=st.just(START),
        bar_start=st.just(START),
        phase=st.sampled_from(Phase),
        low=_NUMBERS,
        high=_NUMBERS,
        last=_NUMBERS,
        volume=_NUMBERS,
        quote=st.none(),
    ),
    st.builds(
        Replace,
        at=st.just(START),
        order_id=st.sampled_from("abcdef"),
        new_order_id=st.sampled_from("abcdef"),
        client_order_id=st.sampled_from("uvwxyz"),
        qty=_MAYBE,
        limit_price=_MAYBE,
        stop_price=_MAYBE,
    ),
    st.builds(Cancel, at=st.just(START), order_id=st.sampled_from("abcdef")),
)


@settings(QUICK, max_examples=150)
@given(st.lists(_WILD, max_size=12))
def test_no_event_raises_however_wild(events: list[Event]) -> None:
    scene = Scene()
    scene.open(100)
    scene.tape(Phase.OPEN, 100, symbol=SPY)
    for event in events:
        scene.send(event)
        account_figures(scene.books)


def _copied(books: Books) -> tuple[Mapping[object, object], ...]:
    parts = (books.holdings, books.orders, books.tapes, books.used, books.filled_bar)
    return tuple(dict(part) for part in parts)


def test_the_engine_takes_a_tape_of_any_finite_size() -> None:
    scene = Scene()
    scene.tape(Phase.OPEN, "1e-12", volume="1e12", spread="1e-13")
    scene.submit(BUY, OrderType.MARKET, "1e12")
    assert apply(scene.books, Cancel(at=START, order_id="x"))[0] is scene.books

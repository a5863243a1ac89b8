"""The trading API, /v2: one function a path and method."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from trader.core.types import OrderSide, Symbol
from trader.exchange.api import closing, parse, wire
from trader.exchange.api.call import Call, Handler, Reply, not_found
from trader.exchange.api.faults import Rule
from trader.exchange.api.history import history_query, portfolio_history
from trader.exchange.api.parse import BadRequest
from trader.exchange.api.wire import Json
from trader.exchange.engine.accounting import PositionFigures
from trader.exchange.engine.answers import no_position
from trader.exchange.engine.events import Holding, SimOrder
from trader.exchange.ledger import late_fees
from trader.exchange.ledger.queries import ActivityQuery, OrderQuery
from trader.exchange.venue import Venue

_LONGEST_CALENDAR = timedelta(days=3660)


# ---- orders ----


def submit_order(call: Call) -> Reply:
    late, no = call.fault("accept_s"), call.fault("reject_late")
    order = call.venue.submit(
        parse.new_order(parse.json_object(call.body)),
        accept_s=_seconds(late if no is None else no),
        rejected="" if no is None else no.reason,
    )
    return Reply(body=_order(call.venue, order, nested=True))


def list_orders(call: Call) -> Reply:
    params = call.params
    status = parse.choice(params, "status", ("open", "closed", "all"))
    side = parse.choice(params, "side", ("", "buy", "sell"))
    nested = parse.boolean(params, "nested")
    query = OrderQuery(
        is_open={"open": True, "closed": False, "all": None}[status],
        after=parse.moment(params, "after"),
        until=parse.moment(params, "until"),
        newest_first=parse.choice(params, "direction", ("desc", "asc")) == "desc",
        symbols=tuple(_known(call.venue, name) for name in parse.names(params, "symbols")),
        side=OrderSide(side) if side else None,
        top_level=nested,
        limit=parse.whole(params, "limit", 50, 500),
    )
    orders = call.venue.ledger.orders(query)
    return Reply(body=[_order(call.venue, order, nested=nested) for order in orders])


def get_order(call: Call) -> Reply:
    order = call.venue.order(call.path["order_id"])
    if order is None:
        raise not_found(f"order not found for {call.path['order_id'][:64]}")
    return Reply(body=_order(call.venue, order, nested=parse.boolean(call.params, "nested")))


def get_order_by_client_id(call: Call) -> Reply:
    client_id = call.params.get("client_order_id", "")
    if not client_id:
        raise BadRequest("client_order_id is required")
    order = call.venue.ledger.order_by_client_id(client_id)
    if order is None:
        raise not_found(f"order not found for {client_id[:128]}")
    return Reply(body=_order(call.venue, order, nested=True))


def replace_order(call: Call) -> Reply:
    patch = parse.patch(parse.json_object(call.body))
    return Reply(body=_order(call.venue, call.venue.replace(call.path["order_id"], patch), nested=True))


def cancel_order(call: Call) -> Reply:
    call.venue.cancel(call.path["order_id"], cancel_s=_seconds(call.fault("cancel_s")))
    return Reply(status=204, body=None)


def cancel_orders(call: Call) -> Reply:
    body = []
    for order_id, refusal in call.venue.cancel_all(cancel_s=_seconds(call.fault("cancel_s"))):
        row: Json = {"id": order_id, "status": 200 if refusal is None else refusal.status}
        body.append(row if refusal is None else row | {"body": wire.error(refusal)})
    return Reply(status=207, body=body)


def _order(venue: Venue, order: SimOrder, *, nested: bool) -> Json:
    return wire.order(order, legs=venue.ledger.legs(order.id) if nested and order.leg_ids else None)


def _seconds(rule: Rule | None) -> Decimal | None:
    return None if rule is None else Decimal(str(rule.amount))


def _known(venue: Venue, name: str) -> str:
    symbol = venue.find(name)
    return name if symbol is None else symbol.text


# ---- positions ----


def list_positions(call: Call) -> Reply:
    if call.fault("empty_positions") is not None:
        return Reply(body=[])
    return Reply(body=[_position(call.venue, figures) for figures in call.venue.figures().positions])


def get_position(call: Call) -> Reply:
    symbol = _held(call)
    if call.fault("empty_positions") is not None:
        raise no_position(symbol)
    figures = next(f for f in call.venue.figures().positions if f.symbol == symbol)
    return Reply(body=_position(call.venue, figures))


def close_position(call: Call) -> Reply:
    qty, share = parse.positive(call.params, "qty"), parse.percentage(call.params, "percentage")
    if qty is not None and share is not None:
        raise BadRequest("only one of qty or percentage is accepted")
    order = closing.close_position(call.venue, _held(call), qty=qty, percentage=share)
    return Reply(body=_order(call.venue, order, nested=True))


def close_positions(call: Call) -> Reply:
    body = []
    for closed in closing.close_all(call.venue, cancel_orders=parse.boolean(call.params, "cancel_orders")):
        row: Json = {"symbol": closed.symbol.position_name}
        if closed.order is not None:
            row |= {"status": 200, "order_id": closed.order.id, "body": _order(call.venue, closed.order, nested=True)}
        elif closed.refusal is not None:
            row |= {"status": closed.refusal.status, "body": wire.error(closed.refusal)}
        body.append(row)
    return Reply(status=207, body=body)


def _held(call: Call) -> Symbol:
    name = call.path["symbol"]
    symbol = call.venue.find(name)
    if symbol is None or symbol not in call.venue.books.holdings:
        raise no_position(symbol if symbol is not None else name[:32])
    return symbol


def _position(venue: Venue, figures: PositionFigures) -> Json:
    return wire.position(
        wire.PositionView(
            symbol=figures.symbol,
            holding=Holding(qty=figures.qty, cost=figures.cost),
            available=figures.qty_available,
            mark=figures.mark,
            previous_close=_previous_close(venue, figures.symbol),
        )
    )


def _previous_close(venue: Venue, symbol: Symbol) -> Decimal | None:
    """The last close before this UTC day."""
    midnight = venue.now.replace(hour=0, minute=0, second=0, microsecond=0)
    rows = venue.market.bars(symbol, venue.market.timeframe, start=None, end=midnight, limit=1, newest=True)
    return Decimal(str(rows[-1].close)) if rows else None


# ---- account ----


def get_account(call: Call) -> Reply:
    venue = call.venue
    figures = venue.figures()
    suspended = bool(venue.configuration["suspend_trade"])
    view = wire.AccountView(
        id=str(venue.account_id),
        number=f"SIM{venue.account_id.int % 10**9:09d}",
        cash=figures.cash,
        equity=figures.equity,
        last_equity=venue.last_equity,
        buying_power=figures.buying_power,
        non_marginable=figures.non_marginable_buying_power,
        long_value=figures.long_market_value,
        short_value=figures.short_market_value,
        created_at=venue.market.start,
        multiplier=venue.books.rules.margin_multiplier,
        trading_blocked=suspended,
        shorting_enabled=not venue.configuration["no_shorting"],
    )
    return Reply(body=wire.account(view))


def get_configuration(call: Call) -> Reply:
    return Reply(body=call.venue.configuration)


_CONFIGURATION_TYPES: dict[str, type | tuple[type, ...]] = {
    "fractional_trading": bool,
    "max_margin_multiplier": str,
    "no_shorting": bool,
    "suspend_trade": bool,
    "trade_confirm_email": str,
    "ptp_no_exception_entry": bool,
    "max_options_trading_level": (Decimal, type(None)),
}
_IGNORED_CONFIGURATION = frozenset(
    {"dtbp_check", "pdt_check"}
)  # the client still sends them; the venue has dropped them


def set_configuration(call: Call) -> Reply:
    changes: dict[str, Any] = {}
    for name, value in parse.json_object(call.body).items():
        if name in _IGNORED_CONFIGURATION:
            continue
        if name not in _CONFIGURATION_TYPES:
            raise BadRequest(f"unknown field {name[:40]!a}")
        if not isinstance(value, _CONFIGURATION_TYPES[name]):
            raise BadRequest(f"invalid value of {name}")
        if isinstance(value, str) and value not in (
            ("all", "none") if name == "trade_confirm_email" else tuple("1234")
        ):
            raise BadRequest(f"invalid value of {name}")
        if isinstance(value, Decimal) and not (value.is_finite() and 0 <= value <= 3):
            raise BadRequest(f"{name} must be an integer from 0 to 3")
        changes[name] = int(value) if isinstance(value, Decimal) else value
    call.venue.configure(changes)
    return Reply(body=call.venue.configuration)


def get_portfolio_history(call: Call) -> Reply:
    params = call.params
    query = history_query(
        call.venue.now,
        period=params.get("period"),
        timeframe=params.get("timeframe"),
        start=parse.moment(params, "start"),
        end=parse.moment(params, "end") or parse.moment(params, "date_end"),
    )
    return Reply(body=portfolio_history(call.venue, query))


def list_activities(call: Call) -> Reply:
    params = call.params
    path_kind = call.path.get("kind")
    kinds = (path_kind.upper(),) if path_kind else parse.names(params, "activity_types")
    odd_kinds = [kind for kind in kinds if not kind.isalnum() or len(kind) > 10]
    if odd_kinds:
        raise BadRequest("invalid activity type")
    on, listed = parse.moment(params, "date"), call.venue.now + timedelta(microseconds=1)
    category = parse.choice(params, "category", ("", "trade_activity", "non_trade_activity"))
    if category and kinds:
        raise BadRequest("category and activity_types exclude each other")
    query = ActivityQuery(
        kinds=kinds,
        trades=None if not category else category == "trade_activity",
        after=on - timedelta(microseconds=1) if on else parse.moment(params, "after"),
        until=min(on + timedelta(days=1) if on else parse.moment(params, "until") or listed, listed),
        newest_first=parse.choice(params, "direction", ("desc", "asc")) == "desc",
        limit=parse.whole(params, "page_size", 100, 100),
        page_token=params.get("page_token") or None,
    )
    account = str(call.venue.account_id)
    venue = call.venue
    activities = (
        late_fees.activities(venue.ledger, query, venue.now) if venue.late_fees else venue.ledger.activities(query)
    )
    return Reply(body=[wire.activity(item, account) for item in activities])


# ---- the venue ----


def get_clock(call: Call) -> Reply:
    now = call.venue.now
    sessions = call.venue.market.sessions(now - timedelta(days=1), now + timedelta(days=14))
    skew = call.fault("clock_skew_s")
    shown = now + timedelta(seconds=skew.amount) if skew is not None else now
    return Reply(body=wire.clock(now, sessions) | {"timestamp": wire.new_york(shown)})


def get_calendar(call: Call) -> Reply:
    today = call.venue.now.date()
    start = parse.day(call.params, "start") or today - timedelta(days=365)
    end = parse.day(call.params, "end") or today + timedelta(days=365)
    if end - start > _LONGEST_CALENDAR:
        raise BadRequest("ask for at most ten years")
    if end < start:
        return Reply(body=[])
    # a session belongs to its New York day, which starts hours into the UTC one and never crosses its end
    return Reply(body=wire.calendar(call.venue.market.sessions(_utc(start), _utc(end + timedelta(days=1)))))


def _utc(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


def list_assets(call: Call) -> Reply:
    wanted = parse.choice(call.params, "asset_class", ("", "crypto", "us_equity", "us_option", "crypto_perp"))
    status = parse.choice(call.params, "status", ("", "active", "inactive"))
    venue = call.venue
    instruments = (i for i in venue.books.instruments.values() if not wanted or i.symbol.asset_class.value == wanted)
    exchange = (call.params.get("exchange") or "").upper()
    rows = [wire.asset(instrument, venue.listings.get(instrument.symbol)) for instrument in instruments]
    rows = [row for row in rows if not status or row["status"] == status]
    return Reply(body=[row for row in rows if not exchange or row["exchange"] == exchange])


def get_asset(call: Call) -> Reply:
    symbol = call.venue.find(call.path["symbol"])
    if symbol is None:
        raise not_found(f"asset not found for {call.path['symbol'][:64]!a}")
    return Reply(body=wire.asset(call.venue.books.instruments[symbol], call.venue.listings.get(symbol)))


# the most asked-for first: the router tries them in this order
ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/v2/account", get_account),
    ("GET", "/v2/positions", list_positions),
    ("GET", "/v2/orders", list_orders),
    ("POST", "/v2/orders", submit_order),
    ("GET", "/v2/clock", get_clock),
    ("GET", "/v2/orders:by_client_order_id", get_order_by_client_id),
    ("DELETE", "/v2/orders", cancel_orders),
    ("GET", "/v2/orders/{order_id}", get_order),
    ("PATCH", "/v2/orders/{order_id}", replace_order),
    ("DELETE", "/v2/orders/{order_id}", cancel_order),
    ("GET", "/v2/account/activities", list_activities),
    ("GET", "/v2/account/activities/{kind}", list_activities),
    ("DELETE", "/v2/positions", close_positions),
    ("GET", "/v2/positions/{symbol:path}", get_position),
    ("DELETE", "/v2/positions/{symbol:path}", close_position),
    ("GET", "/v2/account/configurations", get_configuration),
    ("PATCH", "/v2/account/configurations", set_configuration),
    ("GET", "/v2/account/portfolio/history", get_portfolio_history),
    ("GET", "/v2/calendar", get_calendar),
    ("GET", "/v2/assets", list_assets),
    ("GET", "/v2/assets/{symbol:path}", get_asset),
)

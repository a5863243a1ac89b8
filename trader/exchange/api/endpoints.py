"""The API's endpoints by name, as a fault script speaks of them."""

from __future__ import annotations

from collections.abc import Mapping

_TRADING: Mapping[tuple[str, str], str] = {
    ("GET", "/v2/account"): "account",
    ("GET", "/v2/account/configurations"): "configuration",
    ("PATCH", "/v2/account/configurations"): "configuration",
    ("GET", "/v2/account/portfolio/history"): "portfolio_history",
    ("GET", "/v2/account/activities"): "activities",
    ("GET", "/v2/account/activities/{kind}"): "activities",
    ("GET", "/v2/positions"): "positions",
    ("GET", "/v2/positions/{symbol:path}"): "position",
    ("DELETE", "/v2/positions"): "close_all",
    ("DELETE", "/v2/positions/{symbol:path}"): "close",
    ("GET", "/v2/orders"): "orders",
    ("GET", "/v2/orders/{order_id}"): "order",
    ("GET", "/v2/orders:by_client_order_id"): "order_by_client_id",
    ("POST", "/v2/orders"): "submit",
    ("PATCH", "/v2/orders/{order_id}"): "replace",
    ("DELETE", "/v2/orders/{order_id}"): "cancel",
    ("DELETE", "/v2/orders"): "cancel_all",
    ("GET", "/v2/clock"): "clock",
    ("GET", "/v2/calendar"): "calendar",
    ("GET", "/v2/assets"): "assets",
    ("GET", "/v2/assets/{symbol:path}"): "asset",
}
_DATA = ("quotes", "bars", "trades", "orderbooks", "snapshots")
ENDPOINTS = frozenset((*_TRADING.values(), *_DATA))

# what of one kind a fault on contents can act on: an answer with entries of that kind, alone or in a list
ORDERS = frozenset(["orders", "order", "order_by_client_id", "submit", "replace"])
POSITIONS = frozenset(["positions", "position"])
ASSETS = frozenset(["assets", "asset"])
ACTIVITIES = frozenset(["activities"])
ACCOUNT = frozenset(["account"])
QUOTES = frozenset(["quotes", "orderbooks", "snapshots"])


def endpoint_of(method: str, template: str) -> str:
    """The name of a route of either API; empty for a path that has none."""
    known = _TRADING.get((method, template))
    if known is not None:
        return known
    parts = template.split("/")
    return next((name for name in _DATA if name in parts), "")

"""The risk layer: independent of the strategy, it may deny or shrink an entry, never enlarge one.

Every rule is a small function in GATES (a reason to deny, or None) or CAPS (the most notional that it allows).
Reductions do not pass through here: nothing in this file can keep a position from being closed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from trader.core.decision import DecisionInputs, Denial, Verdict
from trader.core.market import to_datetime
from trader.core.portfolio import Exposure, is_held
from trader.core.proposals import BPS, Proposal, cost_ratio
from trader.core.sizing import tradable, units
from trader.core.types import ZERO, AssetClass, EntrySide, Symbol
from trader.core.values import quick

MIN_SHORT_EQUITY = Decimal(2_000)  # the venue's, USD


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What every proposal of one plan is judged against."""

    inputs: DecisionInputs
    exposure: Exposure
    spendable: Mapping[AssetClass, Decimal]  # cash or buying power before this plan, account currency
    blocked: frozenset[Symbol]  # an order is in the way there
    unpriced: frozenset[Symbol]  # open orders of unknown size
    strange: frozenset[Symbol]  # of blocked, where the order is not ours: what is ours makes room for a target


Gate = Callable[[Proposal, Ground], "str | None"]
Cap = Callable[[Proposal, Ground], Decimal]


def assess(proposal: Proposal, ground: Ground) -> Verdict:
    """Denied by any gate; else the smallest of what was wanted and what every cap leaves, floored to the lot."""
    complaints = [(rule, detail) for rule, gate in GATES if (detail := gate(proposal, ground)) is not None]
    if complaints:
        denials = tuple([Denial(symbol=proposal.symbol, rule=rule, detail=detail) for rule, detail in complaints])
        return _verdict(proposal, ZERO, denials)
    room = {rule: cap(proposal, ground) for rule, cap in CAPS}
    tightest = min(room, key=lambda rule: room[rule])
    wanted_notional = proposal.wanted * proposal.entry
    if wanted_notional <= room[tightest]:
        allowance = tradable(proposal.wanted, proposal.entry, proposal.side, proposal.instrument)
        shrunk: tuple[Denial, ...] = ()
    else:
        allowance = units(room[tightest], proposal.entry, proposal.side, proposal.instrument)
        detail = f"wanted {wanted_notional:.2f}, room for {max(room[tightest], ZERO):.2f}"
        shrunk = (Denial(symbol=proposal.symbol, rule=tightest, detail=detail),)
    if allowance == 0 and not shrunk:
        minimum = f"minimum {proposal.instrument.min_qty} units and {proposal.instrument.min_notional} in value"
        shrunk = (Denial(symbol=proposal.symbol, rule="too_small", detail=f"{wanted_notional:.2f}: {minimum}"),)
    return _verdict(proposal, min(allowance, proposal.wanted), shrunk)


def _verdict(proposal: Proposal, allowance: Decimal, denials: tuple[Denial, ...]) -> Verdict:
    wish, edge = proposal.wanted, proposal.edge_bps
    return Verdict(symbol=proposal.symbol, wanted=wish, allowed=allowance, denials=denials, net_edge_bps=edge)


# ---- gates ----


def _killed(_: Proposal, ground: Ground) -> str | None:
    return ground.inputs.risk.killed or None


def _halted(_: Proposal, ground: Ground) -> str | None:
    return ground.inputs.risk.halted or None


def _paused(_: Proposal, ground: Ground) -> str | None:
    return ground.inputs.risk.paused or None


def _add_latest(_: Proposal, ground: Ground) -> str | None:
    return None if ground.inputs.add_latest else "ADD_LATEST is off: no real quotes, so no entry"


def _unknown_state(_: Proposal, ground: Ground) -> str | None:
    state = ground.inputs.risk
    if state.day_start_equity is None or state.peak_equity is None or state.last_stop_at is None:
        return "the day's first equity, the peak or the last stops are not known"
    if any(not (equity.is_finite() and equity > 0) for equity in (state.day_start_equity, state.peak_equity)):
        return f"day start {state.day_start_equity}, peak {state.peak_equity}: not equity"
    return None


def _account(_: Proposal, ground: Ground) -> str | None:
    account, now = ground.inputs.portfolio.account, ground.inputs.now
    age = now - account.at
    if age > MAX_ACCOUNT_AGE_BARS * ground.inputs.timeframe.duration:
        return f"account read {age.total_seconds():.0f} s ago"
    if account.trading_blocked or account.status.upper() != "ACTIVE":
        return f"account is {account.status}, trading blocked: {account.trading_blocked}"
    if not account.equity.is_finite() or account.equity <= 0:
        return f"equity {account.equity}"
    return None


def _closed(proposal: Proposal, ground: Ground) -> str | None:
    return None if proposal.symbol in ground.inputs.open_symbols else "its market is closed, or may not be entered now"


def _asset(proposal: Proposal, ground: Ground) -> str | None:
    if not proposal.instrument.tradable:
        return "not tradable at the venue"
    if proposal.side is EntrySide.LONG:
        return None
    account = ground.inputs.portfolio.account
    if not (proposal.instrument.shortable and account.shorting_enabled):
        return f"short: asset shortable {proposal.instrument.shortable}, account {account.shorting_enabled}"
    if account.equity < MIN_SHORT_EQUITY:
        return f"short: equity {account.equity:.2f} below {MIN_SHORT_EQUITY}"
    return None


def _position(proposal: Proposal, ground: Ground) -> str | None:
    """A target is added to; another entry is not."""
    position = ground.inputs.portfolio.position(proposal.symbol)
    if position is None or not is_held(position, proposal.instrument):
        return None
    added = proposal.signal.is_target and position.entry_side is proposal.side
    return None if added else f"{position.qty} held already"


def _order_open(proposal: Proposal, ground: Ground) -> str | None:
    """Our own exit of what a target adds to is taken away for the moment of the entry."""
    in_the_way = ground.strange if proposal.signal.is_target else ground.blocked
    return "an open order is in the way" if proposal.symbol in in_the_way else None


def _unpriced(_: Proposal, ground: Ground) -> str | None:
    if not ground.unpriced:
        return None
    return f"open orders of unknown size in {', '.join(str(symbol) for symbol in sorted(ground.unpriced))}"


def _quote(proposal: Proposal, _: Ground) -> str | None:
    return proposal.quote_fault


def _forecast(proposal: Proposal, ground: Ground) -> str | None:
    """A forecast is of use until the bar that it is of has ended."""
    if proposal.forecast is None:
        return "no forecast"
    if len(proposal.forecast.times) == 0:
        return "an empty forecast"
    over = to_datetime(proposal.forecast.times[0]) + ground.inputs.timeframe.duration
    return f"the forecast bar was over at {over:%Y-%m-%dT%H:%M:%SZ}" if ground.inputs.now >= over else None


def _levels(proposal: Proposal, _: Ground) -> str | None:
    """A position with a target size needs no price to leave at but its stop."""
    target, stop, entry, sign = proposal.signal.target, proposal.signal.stop, proposal.entry, proposal.side.sign
    if stop is None or (target is None and not proposal.signal.is_target):
        return f"entry without exits: target {target}, stop {stop}"
    prices = [price for price in (stop, entry, target) if price is not None]
    if not all(price.is_finite() and price > 0 for price in prices):
        return f"not prices: stop {stop}, entry {entry}, target {target}"
    if any(lower * sign >= upper * sign for lower, upper in pairwise(prices)):
        return f"{proposal.side}: stop {stop}, entry {entry}, target {target} are out of order"
    on_tick = all(price == proposal.instrument.price_down(price) for price in prices)
    return None if on_tick else f"off the tick {proposal.instrument.tick}: {stop}, {entry}, {target}"


def _distance(proposal: Proposal, ground: Ground) -> str | None:
    last, limit = proposal.last, ground.inputs.limits.max_level_distance
    if last is None:
        return None
    if not last.is_finite() or last <= 0:
        return f"last close {last}"
    for price in (proposal.entry, proposal.signal.target, proposal.signal.stop):
        if price is not None and not (price.is_finite() and abs(price / last - 1) <= limit):
            return f"{price} lies {abs(price / last - 1):.2%} from the last close {last}, over {limit:.0%}"
    return None


def _scale(proposal: Proposal, ground: Ground) -> str | None:
    """The history must be the quoted instrument's: another coin's series under this ticker shows here."""
    last, quote = proposal.last, proposal.quote
    if last is None or quote is None or proposal.quote_fault is not None:
        return None
    mid = quote.mid
    limit = ground.inputs.limits.max_level_distance
    if not last.is_finite() or last <= 0 or abs(mid / last - 1) > limit:
        return f"quote {mid} against last close {last}: over {limit:.0%} apart"
    return None


def _collar(proposal: Proposal, ground: Ground) -> str | None:
    if proposal.quote_fault is not None or proposal.quote is None:
        return None
    mid, limit = proposal.quote.mid, ground.inputs.limits.collar_bps
    away = abs(proposal.entry / mid - 1) * BPS
    return f"{away:.1f} bps from the mid {mid}, over {limit}" if away > limit else None


def _edge(proposal: Proposal, ground: Ground) -> str | None:
    if proposal.quote_fault is not None:
        return None  # said already
    edge, least = proposal.edge_bps, ground.inputs.limits.min_edge_bps
    if edge is None and proposal.signal.is_target:
        return None  # a share of equity may be wanted for its own sake; what it expects, if anything, it says
    if edge is None:
        return "no target to compare with"
    if edge <= 0 or edge < least:
        return f"{edge:.1f} bps after fees and spread, under {least}"
    return None


def _order_rate(_: Proposal, ground: Ground) -> str | None:
    sent, limit = (
        ground.inputs.risk.orders_last_minute + ground.exposure.orders,
        ground.inputs.limits.max_orders_per_minute,
    )
    return f"{sent} orders in the last minute, limit {limit}" if sent >= limit else None


def _open_entries(proposal: Proposal, ground: Ground) -> str | None:
    count, limit = len(ground.exposure.entries - {proposal.symbol}), ground.inputs.limits.max_open_entries
    return f"{count} symbols held or being entered, limit {limit}" if count >= limit else None


def _daily_loss(_: Proposal, ground: Ground) -> str | None:
    return _fall("the day's start", ground.inputs.risk.day_start_equity, ground, ground.inputs.limits.max_daily_loss)


def _drawdown(_: Proposal, ground: Ground) -> str | None:
    return _fall("the peak", ground.inputs.risk.peak_equity, ground, ground.inputs.limits.max_drawdown)


def _fall(since: str, base: Decimal | None, ground: Ground, limit: Decimal) -> str | None:
    equity = ground.inputs.portfolio.account.equity
    if base is None or not base.is_finite() or base <= 0 or not equity.is_finite():
        return None  # said already, by unknown_state and account
    loss = 1 - equity / base
    return f"{loss:.2%} below {since} ({base:.2f} to {equity:.2f}), limit {limit:.2%}" if loss >= limit else None


def _cooldown(proposal: Proposal, ground: Ground) -> str | None:
    stopped = (ground.inputs.risk.last_stop_at or {}).get(proposal.symbol)
    if stopped is None or ground.inputs.now >= stopped + ground.inputs.limits.cooldown:
        return None
    return f"stopped out at {stopped:%Y-%m-%dT%H:%M:%SZ}, cooling down for {ground.inputs.limits.cooldown}"


def _day_notional(_: Proposal, ground: Ground) -> str | None:
    state, limit, equity = (
        ground.inputs.risk,
        ground.inputs.limits.max_day_notional,
        ground.inputs.portfolio.account.equity,
    )
    if not limit or not equity.is_finite() or state.day_notional < limit * equity:
        return None
    return f"{state.day_notional:.2f} entered since the day began, limit {limit * equity:.2f}"


def _day_orders(_: Proposal, ground: Ground) -> str | None:
    sent, limit = ground.inputs.risk.day_orders + ground.exposure.orders, ground.inputs.limits.max_day_orders
    return f"{sent} entries since the day began, limit {limit}" if limit and sent >= limit else None


def _refusals(_: Proposal, ground: Ground) -> str | None:
    count, limit = ground.inputs.risk.refusals, ground.inputs.limits.max_refusals
    return (
        f"{count} entries refused in a row, limit {limit}: until a person resumes" if limit and count >= limit else None
    )


def _losing_exits(_: Proposal, ground: Ground) -> str | None:
    count, limit = ground.inputs.risk.losing_exits, ground.inputs.limits.max_losing_exits
    return f"{count} losing exits in a row, limit {limit}: `trader resume`" if limit and count >= limit else None


MAX_ACCOUNT_AGE_BARS = 1
GATES: tuple[tuple[str, Gate], ...] = (
    ("killed", _killed),
    ("halted", _halted),
    ("paused", _paused),
    ("add_latest", _add_latest),
    ("unknown_state", _unknown_state),
    ("account", _account),
    ("closed", _closed),
    ("asset", _asset),
    ("position", _position),
    ("order_open", _order_open),
    ("unpriced_orders", _unpriced),
    ("quote", _quote),
    ("forecast", _forecast),
    ("levels", _levels),
    ("level_distance", _distance),
    ("scale", _scale),
    ("collar", _collar),
    ("edge", _edge),
    ("order_rate", _order_rate),
    ("open_entries", _open_entries),
    ("daily_loss", _daily_loss),
    ("drawdown", _drawdown),
    ("cooldown", _cooldown),
    ("day_notional", _day_notional),
    ("day_orders", _day_orders),
    ("refusals", _refusals),
    ("losing_exits", _losing_exits),
)


# ---- caps: notional that is left, account currency ----


def _max_symbol(proposal: Proposal, ground: Ground) -> Decimal:
    equity = ground.inputs.portfolio.account.equity
    return ground.inputs.limits.max_symbol * equity - ground.exposure.of(proposal.symbol)


def _max_gross(_: Proposal, ground: Ground) -> Decimal:
    return ground.inputs.limits.max_gross * ground.inputs.portfolio.account.equity - ground.exposure.gross


def _max_net(proposal: Proposal, ground: Ground) -> Decimal:
    """Against the worst case: what is held on the other side offsets, its open orders may never fill."""
    exposure, side = ground.exposure, proposal.side
    own_side, other_side = (
        (EntrySide.LONG, EntrySide.SHORT) if side is EntrySide.LONG else (EntrySide.SHORT, EntrySide.LONG)
    )
    net = exposure.committed(own_side) - exposure.held(other_side)
    return ground.inputs.limits.max_net * ground.inputs.portfolio.account.equity - net


def _max_order(proposal: Proposal, ground: Ground) -> Decimal:
    own_limit, venue_limit = ground.inputs.limits.max_order_notional, proposal.instrument.max_notional
    return own_limit if venue_limit is None else min(own_limit, venue_limit)


def _buying_power(proposal: Proposal, ground: Ground) -> Decimal:
    return (ground.spendable[proposal.symbol.asset_class] - ground.exposure.spent) / cost_ratio(proposal)


CAPS: tuple[tuple[str, Cap], ...] = (
    ("max_symbol", _max_symbol),
    ("max_gross", _max_gross),
    ("max_net", _max_net),
    ("max_order_notional", _max_order),
    ("buying_power", _buying_power),
)

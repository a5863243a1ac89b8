"""Every gate and every cap of the risk layer, whole; and the parts of those that have several."""

from __future__ import annotations

from tests.mutants.source import Mutant

RISK = "trader/core/risk.py"
RULES = "tests/core/test_risk_rules.py"
ENTRIES = "tests/core/test_plan_entries.py"
ACCOUNTS = f"{RULES}::test_guard_15_an_account_that_is_stale_or_without_figures_enters_nothing"
SHORTS = f"{RULES}::test_shorts_need_leave_of_asset_and_account"
PARTS = f"{RULES}::test_each_part_of_a_gate_denies"


def gate(rule: str, function: str) -> Mutant:
    test = f"{RULES}::test_each_gate_denies_and_says_why[{rule}]"
    return Mutant(f"gate {rule}", RISK, function, "", "return None", (test,))


def part(name: str, function: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"gate {name}", RISK, function, old, new, tests)


def cap(rule: str, function: str, test: str) -> Mutant:
    return Mutant(f"cap {rule}", RISK, function, "", 'return Decimal("Infinity")', (f"{RULES}::{test}",))


GATES = (
    gate("killed", "_killed"),
    gate("halted", "_halted"),
    gate("paused", "_paused"),
    gate("add_latest", "_add_latest"),
    gate("unknown_state", "_unknown_state"),
    gate("account", "_account"),
    gate("closed", "_closed"),
    gate("asset", "_asset"),
    gate("position", "_position"),
    gate("order_open", "_order_open"),
    gate("unpriced_orders", "_unpriced"),
    gate("quote", "_quote"),
    gate("forecast", "_forecast"),
    gate("levels", "_levels"),
    gate("level_distance", "_distance"),
    gate("scale", "_scale"),
    gate("collar", "_collar"),
    gate("edge", "_edge"),
    gate("order_rate", "_order_rate"),
    gate("open_entries", "_open_entries"),
    gate("day_notional", "_day_notional"),
    gate("day_orders", "_day_orders"),
    gate("refusals", "_refusals"),
    gate("losing_exits", "_losing_exits"),
    gate("daily_loss", "_daily_loss"),
    gate("drawdown", "_drawdown"),
    gate("cooldown", "_cooldown"),
)
LEVELS_FINITE = "not all(price.is_finite() and price > 0 for price in prices)"
CROSSED = "any(lower * sign >= upper * sign for lower, upper in pairwise(prices))"
PARTS_OF_GATES = (
    part("unknown_state: no equity", "_unknown_state", "not (equity.is_finite() and equity > 0)", "False", PARTS),
    part("account: old", "_account", "age > MAX_ACCOUNT_AGE_BARS * ground.inputs.timeframe.duration", "False", PARTS),
    part("account: not active", "_account", 'or account.status.upper() != "ACTIVE"', "", PARTS),
    part("account: no equity", "_account", "not account.equity.is_finite() or account.equity <= 0", "False", PARTS),
    part("asset: not shortable", "_asset", "proposal.instrument.shortable and", "", SHORTS),
    part("asset: an account without shorts", "_asset", "and account.shorting_enabled", "", SHORTS),
    part("asset: too little for shorts", "_asset", "account.equity < MIN_SHORT_EQUITY", "False", PARTS),
    part("levels: not prices", "_levels", LEVELS_FINITE, "False", PARTS),
    part("levels: crossed", "_levels", CROSSED, "False", ENTRIES),
    part("levels: off the tick", "_levels", "return None if on_tick else", "return None if True else", PARTS),
    part("level_distance: no last close", "_distance", "not last.is_finite() or last <= 0", "False", PARTS),
    part("edge: less than nothing", "_edge", "edge <= 0 or", "", PARTS),
    part("day_orders: orders of this plan", "_day_orders", "+ ground.exposure.orders", "", RULES),
    part("order_rate: orders of this plan", "_order_rate", "+ ground.exposure.orders", "", RULES),
)
CAPS = (
    cap("max_symbol", "_max_symbol", "test_each_cap_shrinks_to_what_it_leaves[max_symbol]"),
    cap("max_gross", "_max_gross", "test_each_cap_shrinks_to_what_it_leaves[max_gross]"),
    cap("max_net", "_max_net", "test_each_cap_shrinks_to_what_it_leaves[max_net]"),
    cap("max_order_notional", "_max_order", "test_each_cap_shrinks_to_what_it_leaves[max_order_notional]"),
    cap("buying_power", "_buying_power", "test_what_can_be_spent_is_spent_once"),
    Mutant(
        "cap max_order_notional: the venue's own",
        RISK,
        "_max_order",
        "own_limit if venue_limit is None else min(own_limit, venue_limit)",
        "own_limit",
        (RULES,),
    ),
    Mutant(
        "cap max_net: open orders offset nothing",
        RISK,
        "_max_net",
        "exposure.held(other_side)",
        "exposure.committed(other_side)",
        (ENTRIES,),
    ),
    Mutant(
        "cap: nothing is too small",
        RISK,
        "assess",
        "units(room[tightest], proposal.entry, proposal.side, proposal.instrument)",
        "room[tightest] / proposal.entry",
        (ENTRIES,),
    ),
)
MUTANTS = (*GATES, *PARTS_OF_GATES, *CAPS)

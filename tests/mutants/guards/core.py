"""What is decided from figures alone: the plan, quotes, bars, the books, exits and names."""

from __future__ import annotations

from tests.mutants.source import Mutant

PLAN, QUOTES, BARS = "trader/core/plan.py", "trader/core/quotes.py", "trader/core/bars.py"
BOOKS, PROTECT, IDS = "trader/core/reconcile.py", "trader/core/protect.py", "trader/core/ids.py"
ENTRIES = ("tests/core/test_plan_entries.py",)
UNFIT = ("tests/core/test_unfit_forecasts.py",)
FITNESS = ("tests/core/test_quote_fitness.py",)
BAR_FITNESS = ("tests/core/test_bar_fitness.py",)
FILLS = "trader/core/fills.py"
RECONCILIATION = ("tests/core/test_reconciliation.py",)
EXITS = ("tests/core/test_protect_exits.py",)
EXIT_RULES = ("tests/core/test_exit_rules.py",)
NAMES = ("tests/core/test_core_ids.py",)
INVARIANTS = ("tests/core/test_invariants.py",)

IN_PLAN = (
    Mutant(
        "plan: a forecast that is not finite", PLAN, "_is_usable", "all(map(isfinite, extent(forecast))) and", "", UNFIT
    ),
    Mutant("plan: a forecast without a price", PLAN, "_is_usable", "0 < forecast.last_close < inf and", "", UNFIT),
    Mutant("plan: an empty forecast", PLAN, "_is_usable", "and len(forecast.times) > 0", "", UNFIT),
    Mutant("plan: several signals for one symbol", PLAN, "_proposals", "count[signal.symbol] > 1", "False", ENTRIES),
    Mutant(
        "plan: an entry that is no price",
        PLAN,
        "_proposals",
        "entry is None or not entry.is_finite() or entry <= 0",
        "entry is None",
        UNFIT,
    ),
    Mutant(
        "plan: cash that is not known",
        PLAN,
        "_spendable",
        "not (account.buying_power.is_finite() and account.cash.is_finite())",
        "False",
        ("tests/core/test_risk_rules.py",),
    ),
    Mutant("plan: coins are bought with cash only", PLAN, "_spendable", "min(account.cash, power)", "power", UNFIT),
    Mutant(
        "plan: a strategy sees no unfit quote",
        PLAN,
        "view_of",
        "quote_problem(quote, inputs.now, inputs.limits) is None",
        "True",
        FITNESS,
    ),
    Mutant("plan: a strategy sees no unfit forecast", PLAN, "view_of", "if _is_usable(f)", "", UNFIT),
    Mutant("plan: without real quotes it sees none", PLAN, "view_of", "inputs.add_latest and", "", UNFIT),
    Mutant(
        "plan: an entry takes its share of the limits",
        PLAN,
        "plan",
        "ground = altered(ground, exposure=_taken(ground.exposure, proposal, verdict.allowed))",
        "pass",
        ENTRIES,
    ),
    Mutant("plan: entries of earlier cycles go", PLAN, "plan", "*own_entries(inputs.portfolio)", "*()", ENTRIES),
    Mutant(
        "plan: a stop is only tightened",
        PLAN,
        "_repriced",
        "max(stops, key=lambda price: price * side.sign)",
        "stops[0]",
        ENTRIES,
    ),
    Mutant(
        "plan: a position keeps its age",
        PLAN,
        "_repriced",
        "old.expires_at if old else _expiry(inputs, signal)",
        "_expiry(inputs, signal)",
        ENTRIES,
    ),
    Mutant(
        "plan: levels that are no prices", PLAN, "_is_sane", "not price.is_finite() or price <= 0", "False", ENTRIES
    ),
    Mutant("plan: levels that are crossed", PLAN, "_is_sane", "stop * side.sign >= target * side.sign", "False", UNFIT),
    Mutant(
        "plan: levels without a forecast",
        PLAN,
        "_is_sane",
        "forecast is None or not _is_usable(forecast)",
        "forecast is None",
        UNFIT,
    ),
    Mutant(
        "plan: levels that are absurdly far",
        PLAN,
        "_is_sane",
        "abs(price / last_close - 1) <= inputs.limits.max_level_distance",
        "True",
        UNFIT,
    ),
)


def quote(name: str, old: str, new: str) -> Mutant:
    function = "price_problem" if old.startswith(("not (", "ZERO")) else "quote_problem"
    return Mutant(f"quote: {name}", QUOTES, function, old, new, FITNESS)


IN_QUOTES = (
    quote("not a number", "not (quote.bid.is_finite() and quote.ask.is_finite())", "False"),
    quote("crossed", "ZERO < quote.bid < quote.ask", "ZERO < min(quote.bid, quote.ask) and quote.bid != quote.ask"),
    quote("locked", "ZERO < quote.bid < quote.ask", "ZERO < quote.bid <= quote.ask"),
    quote("zero", "ZERO < quote.bid < quote.ask", "quote.bid < quote.ask or not quote.bid"),
    quote("missing", 'return "missing"', "return None"),
    quote("stale", "age > limits.max_quote_age", "False"),
    quote("from the future", "age < -CLOCK_TOLERANCE", "False"),
    quote("modelled", "quote.synthetic and not limits.allow_synthetic_quotes", "False"),
    quote("too wide", "quote.spread_bps > limits.max_spread_bps", "False"),
)


def bars(name: str, function: str, old: str, new: str = "False") -> Mutant:
    return Mutant(f"bars: {name}", BARS, function, old, new, BAR_FITNESS)


IN_BARS = (
    bars("too few", "bars_problem", "len(bars) < context"),
    bars("one twice", "_order_problem", "if (steps == np.timedelta64(0)).any():", "if False:"),
    bars("out of order", "_order_problem", "(steps < np.timedelta64(0)).any()"),
    bars("the newest is missing", "_newest_problem", "is_late(bars, expected_last_start)"),
    bars("one that has not closed", "_newest_problem", "bars.last_start > expected_last_start"),
    bars("not finite", "_values_problem", "not np.isfinite(values).all()"),
    bars(
        "not positive", "_values_problem", "if (prices <= 0).any() or (values[:, CLOSE + 1 :] < 0).any():", "if False:"
    ),
    bars("a high below the low", "_values_problem", "wrong.any()"),
    bars("a gap", "_gap_problem", "missing[worst] > limits.max_gap_bars"),
    bars("many small gaps", "_gap_problem", "share > limits.max_missing"),
    bars("a split", "_jump_problem", "away.size == 0 or away.max() <= limits.max_jump", "True"),
    bars("of another scale", "scale_problem", "1 / limits.max_scale <= ratio <= limits.max_scale", "True"),
)


def books(name: str, function: str, old: str, new: str, where: str = BOOKS) -> Mutant:
    return Mutant(f"books: {name}", where, function, old, new, RECONCILIATION)


IN_BOOKS = (
    books("a fill that is booked already", "new_executions", "if execution.id not in known", "", where=FILLS),
    books(
        "a fill that is told twice",
        "new_executions",
        "tuple(sorted(unique.values(), key=lambda execution: (execution.at, execution.id)))",
        "tuple(sorted([e for e in executions if e.id not in known], key=lambda e: (e.at, e.id)))",
        where=FILLS,
    ),
    books("likeness to a fee ends no doubt", "_positions", "if symbol in believed.doubted", "if False"),
    books(
        "what nothing explains is not booked",
        "reconcile",
        "open_units = [c for c in units if c.kind is CorrectionKind.UNEXPLAINED]",
        "open_units = list[Correction]()",
    ),
    books(
        "what nothing explains is accepted by its figures", "reconcile", "key and key == accepted", "key and accepted"
    ),
    books("money that vanishes", "_cash", "difference < -room", "False"),
    books("money waits where units are in doubt or fills new", "reconcile", "bool(open_units or executions)", "False"),
    books(
        "money waits for fills to be told of",
        "reconcile",
        "[] if spans or cash is None else",
        "[] if cash is None else",
    ),
    books("small money waits where units are in doubt", "reconcile", "if open_units else []", "if False else []"),
    books("fees give nothing", "_positions", "<= min(room, fees)", "<= room"),
    books("an account that could not be read", "reconcile", "if reported.has_cash else None", ""),
    books(
        "what an order filled explains a position", "_positions", "span is not None and _reaches", "False and _reaches"
    ),
    books("an order of ours that nobody knows", "_orders", "if order.client_order_id not in believed.live", "if False"),
    books("an order that is live and not open", "_orders", "tuple(sorted(lost_ids))", "()"),
)

UNBOOKED, PRICE, EQUITY = "trader/core/unbooked.py", "trader/core/exit_price.py", "trader/core/equity.py"
TO_PROTECT, PRICES, WORTH = (
    ("tests/core/test_unbooked.py",),
    ("tests/core/test_exit_price.py",),
    ("tests/core/test_equity.py",),
)
IN_FIGURES = (
    Mutant(
        "fills: an order's legs count once",
        UNBOOKED,
        "unbooked",
        "sum([units_by_order.get(name, ZERO) for name in order.ids], ZERO)",
        "units_by_order.get(order.ids[0], ZERO)",
        TO_PROTECT,
    ),
    Mutant(
        "fills: booked ones are told",
        UNBOOKED,
        "with_fresh",
        "units_by_order = dict(book_units)",
        "units_by_order = dict[str, Decimal]()",
        TO_PROTECT,
    ),
    Mutant(
        "fills: fees in kind of coins only",
        UNBOOKED,
        "fee_room",
        "ZERO if symbol.asset_class is AssetClass.STOCK else",
        "",
        RECONCILIATION,
    ),
    Mutant(
        "held: the fees of what was bought and sold are no dust",
        UNBOOKED,
        "to_protect",
        "abs(units) + span.traded",
        "max(abs(low), abs(high))",
        TO_PROTECT,
    ),
    Mutant(
        "held: a coin is never short, and its fees are not sold",
        UNBOOKED,
        "to_protect",
        "nearest = max(nearest if nearest == shown_qty else nearest - fees, ZERO)",
        "pass",
        TO_PROTECT,
    ),
    Mutant(
        "held: a share that is left out is not sold short",
        UNBOOKED,
        "_left_out",
        "max(abs(qty) - resting, ZERO) if may_be_sold else ZERO",
        "max(abs(qty) - resting, ZERO)",
        TO_PROTECT,
    ),
    Mutant(
        "held: a surplus is not sold",
        UNBOOKED,
        "_surplus",
        "min(position.qty_available, max(abs(most) - resting, ZERO))",
        "position.qty_available",
        TO_PROTECT,
    ),
    Mutant(
        "price: a quote's age on the way out",
        PRICE,
        "quote_fault",
        "age > policy.max_quote_age or age < -CLOCK_TOLERANCE",
        "False",
        PRICES,
    ),
    Mutant(
        "price: a quote's width on the way out",
        PRICE,
        "quote_fault",
        "quote.spread_bps > policy.max_spread_bps",
        "False",
        PRICES,
    ),
    Mutant(
        "price: a quote that can not be, on the way out",
        PRICE,
        "quote_fault",
        "impossible is not None",
        "False",
        PRICES,
    ),
    Mutant(
        "price: a jump that the mark contradicts",
        PRICE,
        "judge",
        "not is_contradiction and seconds - since >= JUMP_STANDS_S",
        "True",
        PRICES,
    ),
    Mutant(
        "price: a jump that no market makes", PRICE, "judge", "and not _is_far(price, mark, seen.price)", "", PRICES
    ),
    Mutant("price: a jump that has just begun", PRICE, "judge", "and seconds - since >= JUMP_STANDS_S", "", PRICES),
    Mutant(
        "price: a first quote that the mark contradicts",
        PRICE,
        "judge",
        "seen.price is None and mark is None",
        "seen.price is None",
        PRICES,
    ),
    Mutant("price: a mark that is far away", PRICE, "_by_mark", "or abs(mark / last_price - 1) > FAR", "", PRICES),
    Mutant(
        "price: a mark that is no price",
        PRICE,
        "_usable_mark",
        "return mark if mark is not None and mark.is_finite() and mark > 0 else None",
        "return mark",
        PRICES,
    ),
    Mutant(
        "worth: the smaller of two counts", EQUITY, "worth_of", "min(venue_equity, own_equity)", "venue_equity", WORTH
    ),
    Mutant(
        "worth: no more is spent than that",
        EQUITY,
        "at_worth",
        "min(account.buying_power, max(worth.equity, ZERO))",
        "account.buying_power",
        WORTH,
    ),
    Mutant("worth: one reading moves no peak", EQUITY, "Peak.reached", "len(self.above) < AGREEING", "False", WORTH),
    Mutant("worth: a peak in a row", EQUITY, "Peak.reached", "self.above.clear()", "pass", WORTH),
)
SIGNALS = "trader/core/signals.py"
SOUND = ("tests/core/test_sound_signals.py",)
IN_SIGNALS = (
    Mutant("signal: not one at all", SIGNALS, "_problem", "not isinstance(signal, Signal)", "False", SOUND),
    Mutant(
        "signal: not a side",
        SIGNALS,
        "_problem",
        "side is not None and not isinstance(side, EntrySide)",
        "False",
        SOUND,
    ),
    Mutant(
        "signal: not a number",
        SIGNALS,
        "_problem",
        "value is not None and not (isinstance(value, Decimal) and value.is_finite())",
        "False",
        SOUND,
    ),
    Mutant("signal: not a price", SIGNALS, "_problem", "value is not None and value <= 0", "False", SOUND),
    Mutant(
        "signal: not a sequence of them",
        SIGNALS,
        "sound_signals",
        "isinstance(told, (str, bytes)) or not isinstance(told, Iterable)",
        "False",
        SOUND,
    ),
)

IN_EXITS = (
    Mutant(
        "exit: never more than is held",
        PROTECT,
        "_held",
        "min(max(free, ZERO), abs(position.qty))",
        "max(free, ZERO)",
        EXITS,
    ),
    Mutant(
        "exit: what another's order holds",
        PROTECT,
        "protect",
        "held.qty < instrument.min_qty or held.qty <= 0",
        "False",
        EXITS,
    ),
    Mutant(
        "exit: a stop of before the tick changed",
        PROTECT,
        "_stop_level",
        "not levels.stop % held.instrument.tick_at(levels.stop)",
        "True",
        EXIT_RULES,
    ),
    Mutant("exit: room in one order", "trader/core/exits.py", "Held.piece", "VALUED_UP_TO *", "", EXIT_RULES),
    Mutant("exit: dust is left", PROTECT, "protect", "is_dust(position, instrument, held.exit_price)", "False", EXITS),
    Mutant(
        "exit: levels of the other side",
        PROTECT,
        "protect",
        "levels if levels is not None and levels.entry_side is position.entry_side else None",
        "levels",
        EXITS,
    ),
    Mutant("exit: a quote that can not be", "trader/core/exits.py", "usable", "", "return quote", EXITS),
    Mutant("exit: a time exit that is due", PROTECT, "protect", "if due:", "if False:", EXITS),
    Mutant("exit: a stop that the market jumped over", PROTECT, "_is_gapped", "", "return False", EXITS),
    Mutant("exit: one under way is not disturbed", PROTECT, "_is_leaving", "", "return False", EXITS),
    Mutant("exit: a stop that works at the venue", PROTECT, "_works", "", "return False", EXITS),
    Mutant("exit: a time exit before the close", PROTECT, "_time_exit", "not policy.stocks_overnight", "False", EXITS),
)

IN_NAMES = (
    Mutant(
        "ids: the same again for the same order", IDS, "client_order_id", "{attempt}", "{id(object()) + attempt}", NAMES
    ),
    Mutant("ids: no longer than the venue takes", IDS, "client_order_id", "len(name) > MAX_LENGTH or", "", NAMES),
    Mutant("ids: what can be read back", IDS, "client_order_id", "or parse_client_order_id(name) is None", "", NAMES),
    Mutant(
        "ids: an order of another account",
        "trader/core/portfolio.py",
        "is_ours",
        "and parsed.account == account_tag(account_id)",
        "",
        ENTRIES,
    ),
)


def invariant(name: str, function: str) -> Mutant:
    return Mutant(f"invariant: {name}", "trader/core/invariants.py", function, "", "yield from ()", INVARIANTS)


IN_INVARIANTS = (
    invariant("one exit owns each quantity", "_one_exit_each"),
    invariant("every order is known", "_known_orders"),
    invariant("nothing impossible is held", "_nothing_impossible"),
    invariant("exposure within the caps", "_within_caps"),
)
MUTANTS = (*IN_PLAN, *IN_QUOTES, *IN_BARS, *IN_BOOKS, *IN_FIGURES, *IN_SIGNALS, *IN_EXITS, *IN_NAMES, *IN_INVARIANTS)

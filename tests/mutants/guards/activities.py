"""What the venue's activities tell: which fill a fee is of, what explains a difference, and nothing twice."""

from __future__ import annotations

from tests.mutants.guards.trading import guard
from tests.mutants.source import Mutant

FEES, REASONS, BOOKS = "trader/core/posted_fees.py", "trader/core/postings.py", "trader/core/reconcile.py"
EQUITY, MEMORY = "trader/core/equity.py", "trader/trading/memory.py"
JOINED = ("tests/core/test_posted_fees.py",)
WORTH = ("tests/core/test_equity.py",)
BOOKED = ("tests/trading/test_activities_booked.py",)
FLAPS = ("tests/trading/test_journal_flaps.py",)
FIGURES = ("tests/trading/test_figures_alone.py",)

OF_FEES = (
    Mutant("fees: one fill each", FEES, "_assign", "pair.fill not in owners and", "", JOINED),
    Mutant("fees: room is made", FEES, "_assign", "_make_room(posting, choices, owners)", "pass", JOINED),
    Mutant("fees: of one fill alone", FEES, "_assign", "and pair.posting not in posting_ids", "", JOINED),
    Mutant("fees: exactly first", FEES, "joined", "(exact, pairs)", "(pairs,)", JOINED),
    Mutant("fees: by name", FEES, "_pair", "if fee.execution_id != fill.id:", "if False:", JOINED),
    Mutant("fees: a stock's is no coin's", FEES, "_pair", 'off > room and fee.kind == "FEE"', "False", JOINED),
    Mutant("fees: by order", FEES, "_may_be", "fee.order_id and fee.order_id != fill.order_id", "False", JOINED),
    Mutant("fees: by symbol", FEES, "_may_be", "fee.symbol is not None and fee.symbol != fill.symbol", "False", JOINED),
    Mutant("fees: by side", FEES, "_may_be", "bool(fee.qty) is not (fill.side is OrderSide.BUY)", "False", JOINED),
    Mutant(
        "fees: by day",
        FEES,
        "_may_be",
        "not charged.first_day <= fee.day <= charged.last_day",
        "False",
        JOINED,
    ),
    Mutant("fees: by price", FEES, "_may_be", "abs(fee.price / fill.price - 1) > _PRICE_ROOM", "False", JOINED),
    Mutant("fees: none that is too large", FEES, "_may_be", "<= charged.estimate * _LARGEST_RATIO + room", "", JOINED),
    guard("fees: posted ones take the estimate's place", "History._take", "self._join(found, owned)", "pass", *BOOKED),
    guard("fees: those that are missing are asked for", "History.due", "", "return False", *BOOKED),
    Mutant(
        "fees: what they were until then is kept",
        "trader/adapters/journal/postings.py",
        "settle_fees",
        "_keep_fees(connection, fills, before, at)",
        "pass",
        ("tests/adapters/test_journal_postings.py",),
    ),
    Mutant(
        "fees: may be taken before they are posted",
        BOOKS,
        "_cash",
        "difference < -room - believed.estimates.get(account.currency, ZERO)",
        "difference < -room",
        BOOKED,
    ),
)
OF_MONEY = (
    Mutant(
        "money: the venue's own equity denies it",
        BOOKS,
        "_cash",
        "abs(difference) > room and denies(portfolio, difference)",
        "False",
        FIGURES,
    ),
    guard(
        "money: what the equity denies waits for a person",
        "Bookkeeper._open",
        "not (result.lacks_units or result.contradicts_itself)",
        "not result.lacks_units",
        *FIGURES,
    ),
    guard(
        "opening: on figures that agree",
        "Bookkeeper._at_rest",
        "if not (reported.executions or contradiction):",
        "if not reported.executions:",
        *FIGURES,
    ),
    Mutant("money: an activity explains it", BOOKS, "_cash", "_why(difference, postings, small)", "()", BOOKED),
    Mutant("money: a transfer is no profit", REASONS, "is_transfer", "self.kind in _TRANSFERS", "False", BOOKED),
    Mutant("money: units that an activity explains", BOOKS, "_positions", "if why:", "if False:", BOOKED),
    Mutant("money: a split is asked about", BOOKS, "_positions", "and posting.kind not in SPLITS", "", BOOKED),
    guard(
        "money: a person hears of units",
        "Bookkeeper._correct",
        'self.desk.alert("adopt", "warning", text)',
        "pass",
        *FLAPS,
    ),
    Mutant(
        "money: units without an entry price have a stop",
        "trader/core/exits.py",
        "fallback_levels",
        "known = reference or market",
        "known = reference",
        FLAPS,
    ),
    guard("money: a reason that comes later", "History._claim", "if why:", "if False:", *BOOKED),
    guard("money: a day begins without what came in", "begin_day", "- known.moved", "", *BOOKED),
    Mutant("money: what came in is added to the day", MEMORY, "risk_state", "memory.day_start + moved", "0", BOOKED),
    Mutant("money: what came in is added to the peak", MEMORY, "risk_state", "memory.peak.value + moved", "0", BOOKED),
)
OF_CLOCKS = (
    guard("opening: by the venue's clock", "History.border", "min(self._broker.venue_time(), began)", "began", *BOOKED),
    guard("opening: what was listed is in it", "History.executions", "and e.id not in self._before", "", *BOOKED),
    guard("owed: a person is told", "Owed.look", "now - self._since[name] >= OWED_S", "False", *BOOKED),
    guard("owed: a lag wakes nobody", "Owed.look", "and now - self._since[name] >= OWED_S", "", *BOOKED),
)
OF_EQUITY = (
    Mutant("equity: the first is confirmed", EQUITY, "Peak._begun", "len(self.above) < AGREEING or", "", WORTH),
    Mutant(
        "equity: the first readings agree",
        EQUITY,
        "Peak._begun",
        "or high - low > self.band * abs(high)",
        "",
        WORTH,
    ),
    guard("equity: the first is no doubtful one", "Desk._begin_peak", "if worth.problem:", "if False:", *FIGURES),
    Mutant(
        "equity: a doubtful one is marked", EQUITY, "counted", "doubtful=bool(worth.problem)", "doubtful=False", FIGURES
    ),
    Mutant(
        "equity: a doubtful one is no point of the curve",
        "trader/adapters/journal/read.py",
        "Reader.equity_points",
        "if not doubtful:",
        "if False:",
        FIGURES,
    ),
)
MUTANTS = (*OF_FEES, *OF_MONEY, *OF_CLOCKS, *OF_EQUITY)

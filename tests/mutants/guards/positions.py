"""The books as they are kept, and what is held as it is looked after."""

from __future__ import annotations

from tests.mutants.guards.trading import LATE, guard

PARTLY = ("tests/trading/test_partly_there.py",)
VANISHED = ("tests/trading/test_vanished.py",)
FIGURES = ("tests/trading/test_figures_alone.py",)
DUST = ("tests/trading/test_dust.py",)
EXIT_TROUBLE = ("tests/trading/test_exit_trouble.py",)
LEAVING = ("tests/trading/test_leaving_slowly.py",)
UNWATCHED = ("tests/trading/test_unwatched.py",)

SPLIT = "tests/trading/test_splits.py"
BOOKS = (
    guard(
        "books: a difference holds entries back",
        "Bookkeeper._doubt",
        'self.differences.text if self.differences.key else ""',
        '""',
    ),
    guard("books: what can't be read holds entries back", "Bookkeeper._doubt", "self.parts.trouble()", '""', *PARTLY),
    guard("books: money that stays away halts", "Bookkeeper._open", "self.desk.halt(result.doubt)", "pass"),
    guard("books: a person is asked about units", "Bookkeeper._open", "if question:", "if False:", *VANISHED),
    guard("books: units are never booked by themselves", "Bookkeeper._open", "result.lacks_units or", "", *VANISHED),
    guard("books: a split halts", "Splits.booking", "self._desk.halt", "str", SPLIT),
    guard("books: a split while nothing is recorded", "Splits.unrecorded", "self._restate(", "set() and (", SPLIT),
    guard("books: a split scales once", "Splits.unrecorded", "if each not in known_splits", "", SPLIT),
    guard("books: a first halt is not hidden", "Desk.halt", 'if not self._memory.flags["halted"]:', "if True:"),
    guard("books: accepted once a person was asked", "OpenDifferences.accepted", "self.asked and", "", *VANISHED),
    guard("books: accepted once the halt is lifted", "OpenDifferences.accepted", "and not halted", "", *VANISHED),
    guard(
        "books: not counted as the same difference",
        "OpenDifferences.heard",
        "found.key != self.key or self.since is None",
        "self.since is None",
        "tests/trading/test_open_differences.py",
    ),
    guard(
        "books: asked more than once before it is said",
        "OpenDifferences.question",
        "self.answers < ANSWERS or",
        "",
        "tests/trading/test_open_differences.py",
    ),
    guard(
        "books: an order that the list leaves out",
        "with_hidden",
        "(*portfolio.orders, *hidden_orders)",
        "portfolio.orders",
    ),
    guard(
        "books: a fill that is not booked yet keeps its order",
        "IntentStates.settle",
        "is_over(order) and self._owes_fills(order)",
        "False",
        *PARTLY,
    ),
    guard(
        "books: an endpoint that fails is left alone",
        "Parts.read",
        "part.failures and self._clock.monotonic() < part.not_before",
        "False",
        "tests/trading/test_parts.py",
    ),
    guard(
        "worth: what counts is what is sized by",
        "Desk.sync",
        "portfolio = at_worth(portfolio, worth)",
        "pass",
        *FIGURES,
    ),
    guard(
        "worth: a contradiction holds entries back",
        "Desk._told_worth",
        'self.doubts["equity"] = self.doubts.get("equity", ""), problem',
        'self.doubts["equity"] = self.doubts.get("equity", ""), ""',
        *FIGURES,
    ),
)
EXITS = (
    guard("exit: an unconfirmed cancel of the one before", "Manager._put_exit", "if not confirmed:", "if False:"),
    guard("exit: too small to be sold is told", "VenueRules._tell_dust", "sorted(dust - self._told_dust)", "()", *DUST),
    guard("exit: what fees leave is not told", "VenueRules._tell_dust", "and _worth(each) >= WORTH_TELLING", "", *DUST),
    guard(
        "exit: a kind that stays is not avoided",
        "ExitAttempts.rests",
        "record.without.pop(record.sent[1].purpose, None)",
        "pass",
        "tests/trading/test_exit_attempts.py",
    ),
    guard("exit: a refused one waits", "ExitAttempts.may_try", "now >= record.not_before and", ""),
    guard(
        "exit: so many a minute",
        "ExitAttempts.may_try",
        "and len(record.failed_at) < most_per_minute",
        "",
        *EXIT_TROUBLE,
    ),
    guard(
        "exit: one that is refused after it was taken",
        "Manager._put_exit",
        "self.attempts.look(symbol, self.desk.broker.order, foreign_orders)",
        "pass",
        *EXIT_TROUBLE,
    ),
    guard("exit: another kind where one is refused", "ExitAttempts.without", "", "return frozenset()", *EXIT_TROUBLE),
    guard(
        "exit: the rules are read again after a refusal", "Manager._rules_changed", "", "return False", *EXIT_TROUBLE
    ),
    guard(
        "exit: no success before it stays",
        "ExitAttempts.rests",
        "or (record.sent is not None and self._seconds() - record.sent_at < STAYS_S)",
        "",
        "tests/trading/test_exit_attempts.py",
    ),
    guard(
        "exit: an old entry goes",
        "Manager._too_old",
        "return self.desk.clock.now() - order.submitted_at >= self.policy.max_order_age",
        "return False",
    ),
    guard("exit: an entry goes before the daemon does", "leave_safe", "if entries:", "if False:"),
    guard(
        "exit: a stop rests when the daemon goes",
        "leave_safe",
        "manager.policy = replace(manager.policy, exit_rests=ExitRests.STOP)",
        "pass",
    ),
    guard(
        "exit: what rests stays where cancels wait",
        "Desk.cancel",
        "self.leaving and self.cancels_wait()",
        "False",
        *LEAVING,
    ),
    guard(
        "exit: only a cancel that was taken can wait",
        "Desk.cancel",
        "if not left.isdisjoint(self._taken):",
        "if True:",
        *LEAVING,
    ),
    guard(
        "exit: a stop follows a cancel that is obeyed soon",
        "_leave_what_protects",
        "any(map(_is_going, portfolio.orders)) and not patience.is_over()",
        "False",
        *LEAVING,
    ),
    guard("exit: what is left without a stop is told", "_leave_what_protects", "if told:", "if False:", *LEAVING),
    guard("exit: without a journal, what rests stays, too", "_leave_stop", "if cancels.wait:", "if False:", *LEAVING),
    guard(
        "exit: without a journal, too",
        "leave_safe",
        "_leave_unrecorded(manager, str(error))",
        "pass",
        "tests/trading/test_last_look.py",
    ),
    guard(
        "exit: a stranger's position",
        "Manager._instrument",
        "traded is not None or (levels is None and not self._is_left(symbol))",
        "traded is not None",
        "tests/trading/test_untraded_symbols.py",
    ),
    guard("exit: levels of an entry that may still arrive", "Manager._forget_levels", "- self.awaited()", "", *LATE),
    guard(
        "exit: a quote that is judged",
        "Manager._protect",
        "self.prices.judged(position, quote, self.policy, self.desk.restated)",
        "Judged(quote=quote)",
        *EXIT_TROUBLE,
    ),
    guard(
        "flatten: an entry may still arrive",
        "Manager._finish_flatten",
        "and not any(is_named(names, symbol) for symbol in self.awaited())",
        "",
        *LATE,
    ),
    guard("kill: entries go", "Manager._too_old", "if self._is_left(order.symbol):", "if False:"),
)
WATCH = (
    guard("latch: obeyed in each run", "GuardFiles.obey", "desk.latch_flag(name, reason)", "pass"),
    guard("lock: looked at again", "GuardFiles.look_at_lock", "self.keep_lock()", "pass"),
    guard(
        "doubt: an entry is held back",
        "Manager._ask_doubts",
        'doubt, before = ask(), self.desk.doubts.get(name, "")',
        'doubt, before = "", ""',
    ),
    guard(
        "unwatched: somebody is told",
        "Unwatched.look",
        'self._say(symbol, ", ".join(complaints[symbol]), now)',
        "pass",
        *UNWATCHED,
    ),
    guard("unwatched: looked at after each run", "Manager.manage", "self.unwatched.look()", "pass", *UNWATCHED),
    guard(
        "unwatched: no price",
        "Manager._protect",
        "if judged.quote is not None or judged.mark is not None:",
        "if True:",
        *UNWATCHED,
    ),
    guard(
        "unwatched: a gap in which nobody looked",
        "Unwatched.reported",
        "symbol in priced and gap > _LOOKS * self.after_s",
        "False",
        *UNWATCHED,
    ),
    guard(
        "unwatched: looks close by leave no gap",
        "Unwatched.reported",
        "symbol in priced and gap > _LOOKS * self.after_s",
        "symbol in priced",
        *UNWATCHED,
    ),
    guard(
        "unwatched: what filled unseen may be bare since then",
        "Unwatched.reported",
        "good.setdefault((symbol, NO_EXIT), unseen_since)",
        "good.setdefault((symbol, NO_EXIT), now)",
        *UNWATCHED,
    ),
    guard(
        "unwatched: no exit",
        "Cover.look",
        "exits or not is_held(position, instrument)",
        "True",
        *UNWATCHED,
    ),
    guard(
        "unwatched: an exit for less than is held",
        "Cover.look",
        "not exits or not rest or (small and instrument is not None)",
        "True",
        *UNWATCHED,
    ),
)
CONSENT_TESTS = ("tests/trading/test_consent.py",)
CONSENT = (
    guard(
        "consent: what was ordered before the start",
        "there_before",
        "| {order.symbol for order in by_hand(portfolio)}",
        "",
        *CONSENT_TESTS,
    ),
    guard(
        "consent: what an order filled shows late",
        "Consent._is_gone",
        "or portfolio.at - since >= LIST_LAG",
        "or True",
        *CONSENT_TESTS,
    ),
    guard(
        "consent: what has an exit is not left alone",
        "Consent._leave",
        "if is_held or not orders:",
        "if False:",
        *CONSENT_TESTS,
    ),
    guard(
        "consent: somebody is told of an order by hand",
        "Consent._tell",
        "if order.id not in self._told",
        "if False",
        *CONSENT_TESTS,
    ),
)
MUTANTS = (*BOOKS, *EXITS, *WATCH, *CONSENT)

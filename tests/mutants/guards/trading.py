"""What is looked at before anything is sent, asked again where it was not said, and done once."""

from __future__ import annotations

from tests.mutants.source import Mutant

ROOM = "trader/trading"
LOOKED = ("tests/trading/test_looked_at_again.py",)
LATE = ("tests/trading/test_late_orders.py",)


def guard(name: str, function: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name, ROOM, function, old, new, tests or LOOKED)


ENTRIES = (
    guard("entry: an earlier cancel is unconfirmed", "Trader._carry_out", "if not confirmed:", "if False:"),
    guard("entry: filled while this was decided", "Trader._unwanted", "if held or", "if"),
    guard("entry: taken while this was decided", "Trader._unwanted", "or portfolio.orders_of(intent.symbol)", ""),
    guard(
        "entry: an earlier one may still arrive",
        "Trader._unwanted",
        "intent.symbol in self.manager.awaited(but=intent)",
        "False",
        *LATE,
    ),
    guard("cycle: it ran already", "Trader.trade", "or self.desk.journal.cycle(name) is not None", ""),
    guard("cycle: entries of the bar before", "Trader._clear", "if old:", "if False:"),
    guard("cycle: bars that are unfit", "Trader._bars_problem", "", "return None"),
    guard("cycle: another coin's bars", "Trader._fit", "if problem is not None:", "if False:"),
    guard(
        "cycle: without real quotes none are fetched", "Trader._quotes", "if not self.rules.add_latest:", "if False:"
    ),
    guard(
        "cycle: too near the close",
        "Trader._may_enter",
        "self.rules.exits.stocks_overnight or now < close - self.rules.exits.flat_before_close",
        "True",
    ),
)
ORDERS = (
    guard("cancel: unconfirmed is not confirmed", "Desk.cancel", "return False", "return True"),
    guard("cancel: no answer is not the end", "Desk._has_ended", "return False", "return True"),
    guard(
        "cancel: an open order is not over", "Desk._has_ended", "return order is None or is_over(order)", "return True"
    ),
    guard(
        "send: an intent is journaled first",
        "Desk.intent_for",
        "self.known.add_intent(cycle_id, intent, self.clock.now())",
        "pass",
    ),
    guard("send: a plan is journaled first", "Trader._run", "self.desk.known.save_plan(name, inputs, decided)", "pass"),
    guard("send: a duplicate is one that arrived", "Desk.place", "and not outcome.duplicate", ""),
    guard("send: looked for before it is sent again", "Desk.place", "order = self._find(name)", "order = None"),
    guard(
        "send: an unanswered exit is not sent under two ids",
        "Desk.intent_for",
        "record.state != IntentState.ACCEPTED and wish.is_of(record.intent)",
        "False",
        *LATE,
    ),
    guard(
        "send: not given up before its time",
        "Desk._settle",
        "now - self._last_sent(record) >= ABANDON_AFTER",
        "True",
        *LATE,
    ),
    guard(
        "send: a fill on arrival is still looked up",
        "Desk._accepted",
        "IntentState.ACCEPTED if state is IntentState.DONE else state",
        "state",
        "tests/trading/test_stopped_out.py",
    ),
)
BOOKS = (
    guard(
        "books: a doubtful report is not traded on",
        "Desk._reconciled",
        'raise Transient(f"the venue\'s report is doubtful: {result.suspect}")',
        "pass",
        "tests/trading/test_vanished.py",
    ),
    guard("books: a difference halts", "Desk._reconciled", "self.halt(reason)", "pass"),
    guard("books: a fill from before the books", "Desk._executions", "if e.at >= first", ""),
    guard("books: a first halt is not hidden", "Desk.halt", 'if not self._memory.flags["halted"]:', "if True:"),
    guard(
        "books: a resume accepts what was asked only",
        "Desk._ask",
        'accepted_loss = self.vanished.accepted(self._memory.flags["halted"])',
        "accepted_loss = result.vanished",
        "tests/trading/test_vanished.py",
    ),
)
POSITIONS = (
    guard("exit: an unconfirmed cancel of the one before", "Manager._protect", "if not confirmed:", "if False:"),
    guard("exit: a refused one waits", "Manager._held_back", "", "return False"),
    guard(
        "exit: an old entry goes",
        "Manager._too_old",
        "return self.desk.clock.now() - order.submitted_at >= self.policy.max_order_age",
        "return False",
    ),
    guard("exit: an entry goes before the daemon does", "Manager.leave_safe", "if entries:", "if False:"),
    guard(
        "exit: a stop rests when the daemon goes",
        "Manager.leave_safe",
        "self.policy = replace(self.policy, exit_rests=ExitRests.STOP)",
        "pass",
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
        "flatten: an entry may still arrive",
        "Manager._finish_flatten",
        "and not any(is_named(wanted, symbol) for symbol in self.awaited())",
        "",
        *LATE,
    ),
    guard("latch: obeyed in each run", "Manager._obey_latch", "", "pass"),
    guard("lock: looked at again", "Manager._keep_lock", "self.keep_lock()", "pass"),
    guard("doubt: an entry is held back", "Manager._ask_doubt", "self.desk.doubt = doubt", "pass"),
    guard("kill: entries go", "Manager._too_old", "if self._is_left(order.symbol):", "if False:"),
)
MUTANTS = (*ENTRIES, *ORDERS, *BOOKS, *POSITIONS)

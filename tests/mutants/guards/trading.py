"""What is looked at before anything is sent, asked again where it was not said, and done once."""

from __future__ import annotations

from tests.mutants.source import Mutant

ROOM = "trader/trading"
LOOKED = ("tests/trading/test_looked_at_again.py",)
LAST_LOOK = ("tests/trading/test_last_look.py",)
TROUBLE = ("tests/trading/test_strategy_trouble.py",)
LATE = ("tests/trading/test_late_orders.py",)


def guard(name: str, function: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name, ROOM, function, old, new, tests or LOOKED)


ENTRIES = (
    guard("entry: an earlier cancel is unconfirmed", "Trader._carry_out", "if not confirmed:", "if False:"),
    guard(
        "entry: filled while this was decided",
        "LastLook._has_changed",
        "position is None or before is None or position.qty != before.qty",
        "False",
    ),
    guard("entry: taken while this was decided", "LastLook._has_changed", "return bool(orders)", "return False"),
    guard(
        "entry: an earlier one may still arrive",
        "LastLook.unwanted",
        "intent.symbol in self._manager.awaited(but=intent)",
        "False",
        *LATE,
    ),
    guard("entry: switched off meanwhile", "LastLook.unwanted", "if switched:", "if False:", *LAST_LOOK),
    guard(
        "entry: a halt is over before the next day",
        "VenueRules.daily",
        "if all(each.tradable for each in instruments.values()) else RETRY_S",
        "",
        *LAST_LOOK,
    ),
    guard("entry: its stop is passed by now", "LastLook._stopped", "stop is not None and", "False and", *LAST_LOOK),
    guard(
        "entry: a fresh look at the market",
        "LastLook._stopped",
        "quote = self._quote_of_now(intent)",
        "pass",
        *LAST_LOOK,
    ),
    guard(
        "entry: the time that the strategy took",
        "Trader._run",
        "self._inputs(name, portfolio, quotes, fit, bars), self._aged()",
        "self._inputs(name, portfolio, quotes, fit, bars), self._aged() + 40",
        *LAST_LOOK,
    ),
    guard("entry: the quote is old by now", "LastLook.unwanted", "if stale is not None:", "if False:", *LAST_LOOK),
    guard("entry: the daemon is asked to stop", "switched_off", "if desk.ending:", "if False:", *LAST_LOOK),
    guard(
        "entry: a command waits",
        "switched_off",
        '(f"{asked[0]} by command" if asked else "")',
        '""',
        *LAST_LOOK,
    ),
    guard(
        "entry: something there can't be read",
        "Trader._may_enter",
        "any(each.symbol == symbol for each in self.desk.books.opaque)",
        "False",
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
    guard(
        "cancel: a market that stands still for good",
        "Patience.is_over",
        "or self._still > MOST_LOOKS_AT_A_STANDSTILL",
        "or self._still > 10 * MOST_LOOKS_AT_A_STANDSTILL",
        "tests/trading/test_end_of_market.py",
    ),
    guard("cancel: unconfirmed is not confirmed", "Desk.cancel", "return not left", "return True"),
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
    guard(
        "send: a plan is journaled first", "Trader._run", "self.desk.known.save_plan(name, inputs, decision)", "pass"
    ),
    guard("send: a duplicate is one that arrived", "Desk.place", "and not outcome.duplicate", ""),
    guard("send: looked for before it is sent again", "Desk.place", "order = self._find(name)", "order = None"),
    guard(
        "send: an unanswered exit is not sent under two ids",
        "Desk.intent_for",
        "each.state != IntentState.ACCEPTED and wish.is_of(each.intent)",
        "False",
        *LATE,
    ),
    guard(
        "send: not given up before its time",
        "IntentStates.settle",
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
STRATEGY = (
    guard(
        "strategy: one that hangs",
        "GuardedStrategy.__call__",
        "thread.join(self._deadline_s)",
        "thread.join()",
        *TROUBLE,
    ),
    guard(
        "strategy: not begun again while it hangs",
        "GuardedStrategy.__call__",
        "self._hanging is not None and self._hanging.is_alive()",
        "False",
        *TROUBLE,
    ),
    guard(
        "strategy: one that raises",
        "Signals.signals",
        "except StrategyFailed as error:",
        "except ZeroDivisionError as error:",
        *TROUBLE,
    ),
    guard(
        "strategy: signals that can't be meant", "Signals.signals", "sound_signals(told)", "(tuple(told), ())", *TROUBLE
    ),
)
COUNTED = (
    guard("counts: orders that were sent", "Counts.sent", "", "pass", "tests/trading/test_figures_alone.py"),
    guard(
        "counts: losing exits",
        "Counts.filled",
        "self.losing_exits + 1 if is_loss else 0",
        "0",
        "tests/trading/test_figures_alone.py",
    ),
    guard(
        "counts: an exit counts once",
        "Counts.filled",
        "and execution.order_id != self._left_by",
        "",
        "tests/trading/test_counts.py",
    ),
)
MUTANTS = (*ENTRIES, *ORDERS, *STRATEGY, *COUNTED)

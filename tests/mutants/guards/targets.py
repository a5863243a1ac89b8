"""Target positions: what is bought, what is sold, and that what stays is protected meanwhile."""

from __future__ import annotations

from tests.mutants.source import Mutant

TARGETS, PROTECT, PLAN = "trader/core/targets.py", "trader/core/protect.py", "trader/core/plan.py"
RISK, OVERDUE, SPLITS = "trader/core/risk.py", "trader/core/overdue.py", "trader/core/splits.py"
ROOM = "trader/trading"
DECIDED = ("tests/core/test_target_positions.py",)
TRADED = ("tests/trading/test_target_positions_traded.py",)


def decided(name: str, where: str, function: str, old: str, new: str) -> Mutant:
    return Mutant(f"target: {name}", where, function, old, new, DECIDED)


def traded(name: str, where: str, function: str, old: str, new: str) -> Mutant:
    return Mutant(f"target: {name}", where, function, old, new, TRADED)


MUTANTS = (
    decided("the other side is left first", TARGETS, "missing", "wanted * qty < 0 or", ""),
    decided("no more within the band", TARGETS, "missing", "<= band_of(inputs, signal, instrument)", "<= 0"),
    decided("no less within the band", TARGETS, "kept", "<= band_of(inputs, signal, instrument)", "<= 0"),
    decided("a doubted equity sells nothing", TARGETS, "kept", "and inputs.risk.doubted", "and False"),
    decided("leaving needs no figures", TARGETS, "kept", "if signal.is_leaving:", "if False:"),
    decided("the wrong side is left", TARGETS, "kept", "if wanted * qty < 0:", "if False:"),
    decided("of shares whole ones stay", TARGETS, "kept", "if whole else abs(wanted)", "if False else abs(wanted)"),
    decided("no equity, no units", TARGETS, "_wanted", "or not equity.is_finite() or equity <= 0", ""),
    decided("an add is no second position", RISK, "_position", "proposal.signal.is_target and", "False and"),
    decided("a person's order is in the way", RISK, "_order_open", "ground.strange if", "frozenset() if"),
    decided("nothing is opened without a stop", RISK, "_levels", "stop is None or", ""),
    decided(
        "an absurd stop is not taken over",
        PLAN,
        "_toward",
        "_moved_stop(inputs, signal, old) if sane",
        "signal.stop if True",
    ),
    decided("it takes what is there and ends", PLAN, "_tif", "TimeInForce.IOC if", "TimeInForce.GTC if"),
    decided("its age is counted anew", PLAN, "_expiry", "not signal.is_target and", ""),
    decided("a rest that is dust goes too", PROTECT, "_less", "not keep or is_dust(", "not keep or False and is_dust("),
    decided("one sale at a time", PROTECT, "_less", "or any(map(_is_leaving, exits))", ""),
    decided("its exit makes room first", PROTECT, "_less", "cancel=cancels,", ""),
    decided("what stays is protected beside the sale", PROTECT, "protect", "going is None or", "True or"),
    decided("no crumbs of a cap", PLAN, "_worth_doing", "if not 0 < verdict.allowed <= band:", "if True:"),
    decided("the stop does not follow each bar", PLAN, "_moved_stop", "return old.stop if near else", "return"),
    decided("a split moves what is to stay", SPLITS, "scaled", "levels.keep * ratio", "levels.keep"),
    traded("an old decision sells nothing new", ROOM, "as_done", "levels is None or levels.keep is None or", "True or"),
    traded("what is held changed", ROOM, "add_to_position", "or after.qty != before.qty", ""),
    traded("an exit that stays", ROOM, "add_to_position", "not confirmed or", ""),
    traded(
        "an exit rests again at once",
        ROOM,
        "add_to_position",
        "manager.protect_all(desk.refresh(), quotes)",
        "portfolio",
    ),
    traded(
        "nothing is added to what is left alone", ROOM, "_may_enter", "symbol in self.desk.consent.withheld() or", ""
    ),
    traded("an adoption starts anew", ROOM, "adopt", "or _all_of_it(self._known.levels().get(symbol))", ""),
    traded("a fatal end sells nothing", ROOM, "_leave_stop", "expires_at=None, keep=None", "expires_at=None"),
    Mutant(
        "target: a refused sale waits for the stop",
        OVERDUE,
        "after_exit",
        "len(WAITS_S) if refused_part else earlier + 1",
        "1",
        TRADED,
    ),
)

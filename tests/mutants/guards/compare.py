"""When an arm that only looks faster, or only looks the same, is not compiled."""

from __future__ import annotations

from tests.mutants.source import Mutant

COMPARE, INTERVALS = "trader/research/compare", "trader/research/intervals.py"
VERDICT = ("tests/research/compare/test_verdict.py",)
PLANTED = "tests/research/compare/test_planted.py"
COVERS = ("tests/research/compare/test_intervals.py::test_a_nominal_interval_of_95_percent_covers_90_and_more",)


def verdict(name: str, function: str, old: str, new: str = "False") -> Mutant:
    return Mutant(f"compare: {name}", COMPARE, function, old, new, VERDICT)


def planted(name: str, where: str, function: str, old: str, new: str, test: str) -> Mutant:
    return Mutant(f"compare: {name}", where, function, old, new, (f"{PLANTED}::{test}",))


def interval(name: str, function: str, old: str, new: str) -> Mutant:
    return Mutant(f"compare: {name}", INTERVALS, function, old, new, COVERS)


MUTANTS: tuple[Mutant, ...] = (
    verdict("faster in sum", "speed_findings", "speed.sums, speed.questions", "speed.medians, speed.questions"),
    verdict("faster in the middle", "speed_findings", "speed.medians, speed.questions", "speed.sums, speed.questions"),
    verdict("surely faster", "_surely_above", "ratio.low <= rule.speed_up", "ratio.middle <= rule.speed_up"),
    verdict("faster where asked first", "_asked_first", "if ratio.middle <= rule.speed_up", "if False"),
    verdict("a longer tail", "_tail", "if ratio.middle < 1 else []", "if False else []"),
    verdict("an answer after the deadline", "slowest_finding", "slowest_s <= deadline_s", "True"),
    verdict("failures of what is asked anew", "fresh_findings", "[*fresh.problems, *unlike]", "[*unlike]"),
    verdict("other answers to what is asked anew", "fresh_findings", "[*fresh.problems, *unlike]", "[*fresh.problems]"),
    verdict("slow in what is asked anew", "_speed", "if ratio.high <= rule.speed_up", "if False"),
    verdict("perhaps no faster in what is asked anew", "_speed", "if ratio.low <= 1", "if False"),
    planted(
        "one cycle out of tolerance",
        "forecasters/compiled/likeness.py",
        "likeness",
        "problems[0] if problems else",
        "",
        "test_no_cycle_may_be_out_of_tolerance",
    ),
    planted(
        "the other one's answer",
        COMPARE,
        "speed_of",
        "candidate[number + 1], 1e-9",
        "candidate[number], 1e-9",
        "test_an_arm_that_lives_on_what_the_other_one_just_computed_is_not_faster",
    ),
    planted(
        "one arm always asked first",
        COMPARE,
        "InTurns.forecast",
        "if self.questions % 2: self.candidate.ask(self.questions, contexts, second) "
        "forecasts = self.reference.ask(self.questions, contexts, first) if not self.questions % 2:",
        "forecasts = self.reference.ask(self.questions, contexts, first)\n        if True:",
        "test_whoever_was_asked_first_is_asked_second_the_next_time",
    ),
    planted(
        "the time of a question asked before",
        COMPARE,
        "Rival.ask",
        "self.answers.keys().isdisjoint(questions.values())",
        "True",
        "test_what_is_asked_twice_is_timed_once",
    ),
    planted(
        "a memory of another comparison",
        COMPARE,
        "ask_afresh",
        "_moved(context, random) for",
        "context for",
        "test_an_arm_that_remembers_another_comparison_is_not_faster",
    ),
    planted(
        "late in what is asked anew",
        COMPARE,
        "_evidence",
        "max(pair.candidate.slowest_s, fresh.slowest_s)",
        "pair.candidate.slowest_s",
        "test_an_arm_that_stalls_is_not_faster",
    ),
    interval("blocks that follow the memory", "_ratio", "automatic_block(pull(top) - pull(bottom))", "1"),
    interval("blocks long enough for an interval", "automatic_block", "_ENOUGH * length", "length"),
    interval("few blocks tell little", "_ratio", "_wider(count / block)", "1.0"),
)

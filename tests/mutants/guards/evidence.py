"""What makes a forecaster look better than it is: memory, learned bars, and forecasts of another state of it."""

from __future__ import annotations

from tests.mutants.source import Mutant

FORECASTS = "trader/research/forecasts"
AGAIN = "tests/research/forecasts/test_asked_again.py"
KEYS = "tests/research/forecasts/test_keys.py"
LEARNED = "tests/research/forecasts/test_learned_bars.py"
LOOKED = "tests/research/forecasts/test_lookahead_command.py"
FINETUNED = "tests/forecasters/kronos/test_finetune_command.py"


def again(name: str, function: str, old: str, new: str, test: str) -> Mutant:
    return Mutant(f"asked again: {name}", f"{FORECASTS}/again.py", function, old, new, (f"{AGAIN}::{test}",))


def key(name: str, file: str, function: str, old: str, new: str, test: str) -> Mutant:
    return Mutant(f"stored: {name}", f"{FORECASTS}/{file}.py", function, old, new, (f"{KEYS}::{test}",))


def learned(name: str, where: str, function: str, old: str, new: str, test: str) -> Mutant:
    return Mutant(f"learned: {name}", where, function, old, new, (f"{LEARNED}::{test}",))


REFUSED = "test_bars_that_were_learned_are_refused"
NO_FIGURES = "test_an_evaluation_of_a_backend_that_remembers_bars_has_no_figures"
NO_RUN = "test_a_backtest_of_it_has_no_figures_and_leaves_no_run"

MUTANTS: tuple[Mutant, ...] = (
    again("another answer has no figures", "demand", "if again.problem:", "if False:", NO_FIGURES),
    Mutant(
        "asked again: in an evaluation",
        "trader/research/evaluate",
        "_backend",
        "demand(name, ask_again(sample, partial(backend.fresh, say), backend.known.rounding))",
        "None",
        (f"{AGAIN}::{NO_FIGURES}",),
    ),
    Mutant(
        "asked again: in a backtest",
        "trader/research/backtest",
        "backtested",
        "demand(name, ask_again(sample, source.fresh, source.rounding))",
        "None",
        (f"{AGAIN}::{NO_RUN}",),
    ),
    again(
        "alone", "_compared", "for other in (alone, mixed)", "for other in (mixed,)", "test_one_other_answer_is_enough"
    ),
    again(
        "in another order",
        "_compared",
        "for other in (alone, mixed)",
        "for other in (alone,)",
        "test_one_other_answer_is_enough",
    ),
    again(
        "in the order of time",
        "Sample.chosen",
        "(place[2], place[1:])",
        "place",
        "test_each_is_asked_alone_in_the_order_of_time_and_then_all_in_another_order",
    ),
    again(
        "a few of each symbol",
        "Sample.chosen",
        "**each,",
        "",
        "test_a_few_are_asked_again_however_small_the_share_and_of_each_symbol",
    ),
    again(
        "a forecast that is not always there",
        "apart_by",
        "(used is None) != (other is None)",
        "False",
        "test_a_forecast_that_is_only_sometimes_there_is_another_answer",
    ),
    Mutant(
        "asked again: no more rounding than there is",
        "forecasters/worker/inquiry.py",
        "_rounding",
        'min(given["difference"], MOST_ROUNDING.difference)',
        'given["difference"]',
        (f"{KEYS}::test_no_backend_may_call_everything_rounding",),
    ),
    Mutant(
        "asked again: the forecasts of a run",
        "trader/research/backtest/lookahead.py",
        "LookAhead.verdict",
        "if not self.again.problem:",
        "if True:",
        (f"{LOOKED}::test_a_run_of_a_backend_that_remembers_is_found",),
    ),
    Mutant(
        "asked again: without what was kept on the disk",
        f"{FORECASTS}/arms.py",
        "apart",
        "*sandbox.writable, *own_cache()",
        "",
        (f"{AGAIN}::test_what_it_kept_on_the_disk_is_not_found_in_the_fresh_worker",),
    ),
    key(
        "what options name",
        "key",
        "known_backend",
        "files=files",
        'files=""',
        "test_other_weights_at_the_same_path_give_a_fresh_forecast",
    ),
    key(
        "a content, whatever its time says",
        "sources_of",
        "_content",
        "about.st_ctime_ns",
        "0",
        "test_so_they_do_where_size_and_time_are_as_before",
    ),
    key(
        "a backend that says nothing of its files",
        "key",
        "_named",
        "if not description.says_files:",
        "if False:",
        "test_a_backend_that_cannot_say_what_changes_it_is_not_stored_and_that_is_said",
    ),
    key(
        "an unkept key",
        "store",
        "ForecastStore.shelf",
        "NoShelf(key) if key.once else",
        "",
        "test_of_an_unkept_key_nothing_is_found_again",
    ),
    key(
        "what lies beside the package",
        "sources_of",
        "source_files",
        "name == _OURS or _is_of_its_own(name, top)",
        "False",
        "test_data_of_its_package_and_what_lies_beside_it_are_its_code",
    ),
    key(
        "what the imported needs",
        "sources_of",
        "libraries_of",
        "wanted |= needed",
        "",
        "test_versions_are_of_what_it_imports_and_of_what_that_needs",
    ),
    learned(
        "bars are refused",
        FORECASTS,
        "Trained.demand_unseen",
        "if self.in_sample:",
        "if False:",
        f"{REFUSED}[evaluate]",
    ),
    learned(
        "in a backtest",
        "trader/research/backtest",
        "backtested",
        "if not wish.in_sample:",
        "if False:",
        f"{REFUSED}[backtest]",
    ),
    learned(
        "in a comparison",
        "trader/research/compare/run.py",
        "compared",
        "() if wish.in_sample else arms",
        "()",
        f"{REFUSED}[compare]",
    ),
    learned(
        "others than are named", FORECASTS, "trained", "learned_to.get(EVERY)", "None",
        "test_a_symbol_without_a_word_of_its_own_is_one_of_all_others",
    ),
    learned(
        "a card that says nothing clear",
        "forecasters/card.py",
        "moment_of",
        "moment.tzinfo is None",
        "False",
        "test_a_card_that_says_nothing_clear_is_refused",
    ),
    Mutant(
        "learned: what it began from",
        "forecasters/kronos/training/train.py",
        "train",
        "later(_learned_of(validation), models.learned_to)",
        "_learned_of(validation)",
        (f"{FINETUNED}::TestLearningFromBars::test_what_the_weights_that_it_began_from_had_learned_stays_learned",),
    ),
)  # fmt: skip

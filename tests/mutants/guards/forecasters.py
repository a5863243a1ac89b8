"""What a forecaster may hand over, what may cross its socket, and when a compiled model is not believed."""

from __future__ import annotations

from tests.mutants.source import Mutant

TYPES, WIRE, COMPILED = "forecasters/types.py", "forecasters/worker/wire.py", "forecasters/compiled"
VALUES = "tests/forecasters/test_forecast_values.py"
FORECASTS = (f"{VALUES}::test_guard_30_a_forecast_that_is_no_distribution_of_bars_is_refused",)
CONTEXTS = (f"{VALUES}::test_a_context_that_is_no_series_of_closed_bars_is_refused",)
GUARD = ("tests/forecasters/compiled/test_guard.py",)
ROUNDS = ("tests/forecasters/compiled/test_rounds.py",)
SPOILED = ("tests/forecasters/compiled/test_spoiled.py",)
NETWORKS = ("tests/forecasters/compiled/test_networks.py",)
LIKENESS = ("tests/forecasters/compiled/test_likeness.py",)
ANSWERS = (
    "tests/forecasters/worker/test_worker_faults.py::test_an_answer_to_another_question_is_refused_and_the_other_symbols_stand",
)


def forecast(name: str, function: str, old: str, new: str = "False") -> Mutant:
    return Mutant(f"forecast: {name}", TYPES, function, old, new, FORECASTS)


def context(name: str, function: str, old: str, new: str = "False") -> Mutant:
    return Mutant(f"context: {name}", TYPES, function, old, new, CONTEXTS)


IN_FORECASTS = (
    forecast("without a name", "_header_problem", "not forecast.symbol or not forecast.backend"),
    forecast("without a time zone", "_header_problem", "forecast.asof.tzinfo is None"),
    forecast("without times", "_header_problem", "len(times) == 0 or", ""),
    forecast(
        "of the past",
        "_header_problem",
        'times[0] < np.datetime64(forecast.asof.astimezone(UTC).replace(tzinfo=None), "us")',
    ),
    forecast("without a last close", "_header_problem", "not 0 < forecast.last_close < np.inf"),
    forecast("levels in disorder", "_levels_problem", "not (levels[0] > 0 and levels[-1] < 1 and _increasing(levels))"),
    forecast("of another shape", "_quantiles_problem", "quantiles.shape != expected"),
    forecast("not finite", "_quantiles_problem", "not np.isfinite(lowest) or not np.isfinite(highest)"),
    forecast("no prices", "_quantiles_problem", "if lowest <= 0:", "if False:"),
    forecast("absurdly far", "_quantiles_problem", "lowest < last / factor or highest > last * factor"),
    forecast("crossing quantiles", "_quantiles_problem", "(quantiles[1:] < quantiles[:-1] * (1 - _ROUNDING)).any()"),
    forecast(
        "paths of another shape",
        "_paths_problem",
        "paths.ndim != 3 or paths.shape[1:] != (horizon, len(CHANNELS)) or len(paths) == 0",
    ),
    forecast("paths that are not finite", "_paths_problem", "not np.isfinite(lowest) or not np.isfinite(highest)"),
    forecast("paths that are no prices", "_paths_problem", "if lowest <= 0:", "if False:"),
    forecast("a high below its bar", "_bars_problem", "(bars[..., HIGH] < top * (1 - _ROUNDING)).any()"),
    forecast("a low above its bar", "_bars_problem", "(bars[..., LOW] > bottom * (1 + _ROUNDING)).any()"),
    Mutant(
        "forecast: a tail that was not forecast",
        TYPES,
        "Forecast.quantile",
        "not levels[0] - slack <= level <= levels[-1] + slack",
        "False",
        (f"{VALUES}::test_a_quantile_is_never_extrapolated",),
    ),
    Mutant("forecast: written to afterwards", TYPES, "_copied", "copy.setflags(write=False)", "pass", (VALUES,)),
    context("of another shape", "_context_problem", "values.shape != (len(times), len(COLUMNS))"),
    context("times in disorder", "_context_problem", "not _increasing(times)"),
    context("not finite", "_context_problem", "not np.isfinite(values).all()"),
    context("no prices", "_context_problem", "(values[:, :4] <= 0).any() or (values[:, 4:] < 0).any()"),
    context("a bar outside its range", "_context_problem", "above.any() or below.any()"),
    context("nothing ahead", "_ahead_problem", "len(future) == 0"),
    context("a future in the past", "_ahead_problem", "None if all(map(lt, moments, moments[1:])) else _ORDER", "None"),
)


def wire(
    name: str,
    function: str,
    old: str,
    new: str = "False",
    test: str = "test_a_malformed_frame_is_an_error_and_nothing_else",
) -> Mutant:
    return Mutant(f"wire: {name}", WIRE, function, old, new, (f"{VALUES}::{test}",))


SIZES = "test_a_frame_larger_than_the_protocol_allows_is_neither_sent_nor_read"
IN_WIRE = (
    wire("another program's bytes", "receive", "magic != MAGIC"),
    wire("a header too large to read", "receive", "header_bytes > most.header_bytes or", "", SIZES),
    wire("a body too large to read", "receive", "or body_bytes > most.body_bytes", "", SIZES),
    wire("a frame too large to send", "send", "len(text) > MAX_HEADER_BYTES or body > MAX_BODY_BYTES", "False", SIZES),
    wire("arrays beyond the body", "_arrays", "stop > len(body)"),
    wire("bytes too many", "_arrays", "start != len(body)"),
    wire(
        "sizes that are none",
        "_described",
        "all(type(size) is int and 0 < size <= MAX_BODY_BYTES for size in shape)",
        "True",
    ),
    wire("arrays of other kinds", "_described", "if name in _DTYPES and len(shape) <= 4", "if len(shape) <= 4"),
    wire("a header that is none", "_parsed", "not isinstance(header, dict)"),
    wire("the end of the stream", "_read", "if not chunk:", "if False:", "test_a_side_that_is_gone_is_not_waited_for"),
    wire(
        "fields of another kind",
        "_field",
        "not isinstance(value, kind)",
        "False",
        "test_a_reply_that_does_not_add_up_is_an_error",
    ),
    wire(
        "more arrays than forecasts",
        "unpack_forecasts",
        "next(arrays, None) is not None",
        "False",
        "test_a_reply_that_does_not_add_up_is_an_error",
    ),
)
CLIENT = "forecasters/worker/client.py"
IN_CLIENT = (
    Mutant(
        "answer: of a symbol that nobody asked for",
        CLIENT,
        "_mismatch",
        'return f"{forecast.symbol}: was not asked for"',
        "return None",
        ANSWERS,
    ),
    Mutant(
        "answer: of other bars",
        CLIENT,
        "_mismatch",
        "len(forecast.times) != len(context.future_times) or (forecast.times != context.future_times).any()",
        "False",
        ANSWERS,
    ),
    Mutant(
        "answer: from another price",
        CLIENT,
        "_mismatch",
        "not math.isclose(forecast.last_close, context.last_close, rel_tol=1e-6)",
        "False",
        ANSWERS,
    ),
)


def compiled(name: str, function: str, old: str, new: str = "False", tests: tuple[str, ...] = GUARD) -> Mutant:
    return Mutant(f"compiled: {name}", COMPILED, function, old, new, tests)


IN_COMPILED = (
    compiled("nothing was compiled", "Guarded._made", "done.frames == 0"),
    compiled("a graph that is cut", "Guarded._made", "if done.graph_breaks:", "if False:"),
    compiled("CUDA graphs that were skipped", "Guarded._made", "if done.cudagraph_skips:", "if False:"),
    compiled("a storm of recompiles", "Guarded._counted", "done.recompiles > self._options.most_recompiles"),
    compiled(
        "compared before it serves", "Guarded._try", "self._made() or self._alike(forecasts, contexts)", "self._made()"
    ),
    compiled("compared now and then", "Guarded._canary", "context.symbol in due or", ""),
    compiled("a symbol that it left out", "Guarded._canary", "or context.symbol not in forecasts", ""),
    compiled("looks in turn, the oldest first", "Rounds.due", "self._looked.get(symbol, -1)", "symbol", ROUNDS),
    compiled("looks enough for all symbols", "Rounds.due", "math.ceil(len(symbols) / self._blocks)", "1", ROUNDS),
    compiled("looks at no fixed place", "Rounds.due", "int(number * _GOLDEN % 1 * self._length)", "0", ROUNDS),
    compiled("looks again at what was suspicious", "Rounds.due", "return suspects", "return []", ROUNDS),
    compiled("turns again and again", "Guarded._alike", "or again_and_again:", ":", SPOILED),
    compiled(
        "networks before it serves", "Guarded._try", "self._networks(contexts, alone=not forecasts)", '""', NETWORKS
    ),
    compiled("networks once a day", "Guarded._hold_networks", "self._networks(contexts)", '""', NETWORKS),
    compiled("all that is owed is compared", "Guarded.upkeep", "self._standing.owed is not None"),
    compiled("a difference is a failure", "Guarded._alike", "if result.problem or again_and_again:", "if False:"),
    compiled(
        "eager that fails is no comparison",
        "Guarded._alike",
        'return f"eager, which it is held against, failed: {in_words(error)}"',
        'return ""',
    ),
    compiled("not tried again before its time", "Guarded.upkeep", "and self._clock() >= self._standing.retry_at", ""),
    compiled("a machine without a compiler", "Guarded._try", "if missing:", "if False:"),
    compiled("the last process died of it", "Guarded.warm_up", "if died:", "if False:"),
    compiled("cut short while eager can answer", "Guarded.forecast", "cut_short(limit_s)", "cut_short(None)"),
    compiled("alike: a missing symbol", "likeness", "if one_sided:", "if False:", LIKENESS),
    compiled(
        "alike: another shape",
        "likeness",
        "ours.quantiles.shape != theirs.quantiles.shape or (ours.paths is None) != (theirs.paths is None)",
        "False",
        LIKENESS,
    ),
    compiled("alike: steps that differ", "_of_groups", "same[name] < tolerance.agreement * count", "False", LIKENESS),
    compiled("alike: a step by itself", "_problem", "new > most_new", "False", LIKENESS),
    compiled("alike: paths that are others by then", "_problem", "others > most:", "False:", LIKENESS),
    compiled("alike: quantiles of samples", "_problem", "one.sampling > tolerance.sampling", "False", LIKENESS),
    compiled("alike: quantiles that differ", "_problem", "one.difference > tolerance.difference", "False", LIKENESS),
    compiled("alike: nothing to compare", "likeness", "if not compiled and not eager:", "if False:", LIKENESS),
)
MUTANTS = (*IN_FORECASTS, *IN_WIRE, *IN_CLIENT, *IN_COMPILED)

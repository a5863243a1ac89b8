"""Kronos: the same arithmetic as the original's, bars that can be, and checkpoints that are what they are called."""

from __future__ import annotations

from tests.mutants.source import Mutant

FEATURES = "forecasters/kronos/features.py"
TABLES = ("tests/forecasters/kronos/test_kronos_tables.py",)

IN_FEATURES = (
    Mutant(
        "kronos: columns summed as the original sums them",
        FEATURES,
        "standardise",
        "np.asfortranarray(scaled)",
        "scaled",
        TABLES,
    ),
)
BACKEND = ("tests/forecasters/kronos/test_kronos_backend.py",)
MENDING = "forecasters/kronos/mending.py"
IN_MENDING = (
    Mutant(
        "kronos: a path with prices that are none",
        MENDING,
        "mended_paths",
        "& (drawn > 0).all(axis=(1, 2))",
        "",
        BACKEND,
    ),
    Mutant(
        "kronos: a path with no numbers", MENDING, "mended_paths", "np.isfinite(drawn).all(axis=(1, 2)) &", "", BACKEND
    ),
    Mutant("kronos: bars put in order", MENDING, "mended_paths", "in_order(paths)", "paths", BACKEND),
    Mutant("kronos: paths that are to be dropped", MENDING, "mended_paths", 'misordered == "drop"', "False", BACKEND),
    Mutant(
        "kronos: too few paths are left",
        "forecasters/backends/kronos.py",
        "KronosForecaster._value",
        "len(paths) < math.ceil(options.min_survive * len(draws))",
        "False",
        BACKEND,
    ),
)

FAULTS = ("tests/forecasters/worker/test_worker_faults.py",)
VALUES = ("tests/forecasters/test_forecast_values.py",)
IN_ANSWERS = (
    Mutant(
        "answer: why there is no forecast",
        "forecasters/worker/client.py",
        "Worker._accepted",
        "{**own_words, **refusals}",
        "refusals",
        FAULTS,
    ),
    Mutant(
        "answer: what a backend says that makes no sense",
        "forecasters/worker/child.py",
        "Server._account",
        "except Exception:",
        "except ZeroDivisionError:",
        FAULTS,
    ),
    Mutant(
        "wire: counts that are none",
        "forecasters/worker/wire.py",
        "unpack_account",
        "if 0 <= count <= of and 0 <= dropped <= of > 0",
        "",
        VALUES,
    ),
    Mutant(
        "compiled: what is said of an answer is of who gave it",
        "forecasters/compiled/guard.py",
        "Guarded.forecast",
        "self._answered_by(compiled)",
        "pass",
        ("tests/forecasters/kronos/test_kronos_compiled_backend.py",),
    ),
)

WATCH, WATCHED = "trader/trading/forecast_watch.py", ("tests/trading/test_forecast_watch.py",)
IN_WATCH = (
    Mutant(
        "unforecast: in the cycle",
        "trader/trading/cycle.py",
        "Trader._run",
        "self.forecast_watch.look(fit, absent)",
        "pass",
        WATCHED,
    ),
    Mutant("unforecast: told of rarely", WATCH, "ForecastWatch.look", "> self._told.get(s, 0)", "> 0", WATCHED),
    Mutant("unforecast: counted anew", WATCH, "ForecastWatch.look", "self._cycles.pop(symbol, None)", "pass", WATCHED),
    Mutant("unforecast: nobody has one", WATCH, "ForecastWatch.look", "if not fit:", "if False:", WATCHED),
    Mutant(
        "unforecast: when it is over", WATCH, "ForecastWatch.look", "if self._told.pop(symbol, 0)", "if False", WATCHED
    ),
)
LAYOUTS = ("tests/forecasters/kronos/test_kronos_layouts.py",)
FILES = "forecasters/kronos/files.py"
IN_CHECKPOINTS = (
    Mutant(
        "kronos: a model of the hub without its commit",
        "forecasters/kronos/hub.py",
        "_repository",
        "_COMMIT.fullmatch(revision)",
        "revision",
        LAYOUTS,
    ),
    Mutant("kronos: a shard that is missing", FILES, "weight_files", "if missing:", "if False:", LAYOUTS),
    Mutant("kronos: a shard elsewhere", FILES, "weight_files", "if wrong:", "if False:", LAYOUTS),
    Mutant(
        "kronos: one wrapped name among others",
        "forecasters/kronos/weights.py",
        "_tensors",
        "all(name.startswith(wrapper) for name in tensors)",
        "True",
        LAYOUTS,
    ),
)
TOOLCHAIN, TOOLS = "forecasters/compiled/toolchain.py", ("tests/forecasters/compiled/test_toolchain.py",)
IN_TOOLCHAIN = (
    Mutant("cache: code that may not be run", TOOLCHAIN, "_why_not", "not _may_be_run(file.fileno())", "False", TOOLS),
    Mutant(
        "cache: no folder whose code may be run",
        TOOLCHAIN,
        "CacheFolder.lacking",
        "if self.unusable",
        "if False",
        TOOLS,
    ),
)
MUTANTS = (*IN_TOOLCHAIN, *IN_CHECKPOINTS, *IN_FEATURES, *IN_MENDING, *IN_ANSWERS, *IN_WATCH)

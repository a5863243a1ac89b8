"""What is stored is found again under the same key and question only, to the last bit; and survives a bad disk."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from forecasters import registry
from forecasters.base import ForecastError
from forecasters.types import Context
from tests.forecasters.support import context, install_oddities
from tests.research.evaluate.support import Counting, a_key, a_shelf, same
from trader.research.forecasts.key import ForecastKey, device_kind, key_of, question_of
from trader.research.forecasts.sources_of import hash_of_files, source_files
from trader.research.forecasts.store import FLUSH_EVERY, StoredForecaster


def ask(root: Path, asked: Context, **changes: object) -> int:
    """How many questions reached the backend."""
    inner = Counting()
    stored = StoredForecaster(inner, a_shelf(root, **changes))
    stored.forecast([asked])
    stored.close()
    return len(inner.asked)


def test_a_stored_forecast_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    asked = context(horizon=3)
    truth = Counting().forecast([asked])["BTC/USD"]
    assert ask(tmp_path, asked) == 1
    again = StoredForecaster(Counting(), a_shelf(tmp_path))
    assert same(again.forecast([asked])["BTC/USD"], truth)
    assert (again.hits, again.computed) == (1, 0)


@pytest.mark.parametrize("field", [field.name for field in fields(ForecastKey)])
def test_each_part_of_the_key_makes_another_question(tmp_path: Path, field: str) -> None:
    asked = context()
    ask(tmp_path, asked)
    assert ask(tmp_path, asked) == 0
    different = (not a_key().paths) if field == "paths" else f"{getattr(a_key(), field)}, another"
    assert a_key(**{field: different}).digest != a_key().digest
    if field != "compile_mode":  # an answer of another mode is refused, which is tested below
        assert ask(tmp_path, asked, **{field: different}) == 1


@pytest.mark.parametrize("column", range(6))
def test_another_figure_in_the_context_makes_another_question(tmp_path: Path, column: int) -> None:
    asked = context()
    ask(tmp_path, asked)
    values = asked.values.copy()
    values[0, column] *= 1 + 1e-12 if column != 2 else 1 - 1e-12
    values[0, 1] = max(values[0, 1], values[0, :4].max())
    assert ask(tmp_path, replace(asked, values=values)) == 1


def test_another_symbol_span_horizon_or_time_makes_another_question(tmp_path: Path) -> None:
    asked = context(horizon=2)
    ask(tmp_path, asked)
    others = [
        replace(asked, symbol="ETH/USD"),
        replace(asked, future_times=asked.future_times[:1]),
        replace(asked, future_times=asked.future_times + np.timedelta64(1, "h")),
        replace(asked, times=asked.times[1:], values=asked.values[1:]),
        replace(asked, times=asked.times - np.timedelta64(1, "h")),
    ]
    assert [ask(tmp_path, other) for other in others] == [1] * len(others)
    assert ask(tmp_path, asked) == 0


def test_a_tag_is_no_other_question(tmp_path: Path) -> None:
    asked = context()
    ask(tmp_path, asked)
    tagged = StoredForecaster(Counting(), a_shelf(tmp_path)).forecast([replace(asked, symbol="BTC/USD#7")])
    assert set(tagged) == {"BTC/USD#7"}
    assert ask(tmp_path, replace(asked, symbol="BTC/USD#7")) == 0


def test_that_there_is_no_forecast_is_stored_too(tmp_path: Path) -> None:
    inner = Counting(nothing_of="BTC/USD")
    stored = StoredForecaster(inner, a_shelf(tmp_path))
    assert stored.forecast([context()]) == {}
    stored.close()
    again = StoredForecaster(Counting(), a_shelf(tmp_path))
    assert again.forecast([context()]) == {}
    assert again.answers([context()])[0].reason == "the backend gave none"
    assert again.computed == 0


def test_a_failure_is_not_stored(tmp_path: Path) -> None:
    class Broken(Counting):
        def forecast(self, contexts):  # type: ignore[no-untyped-def]
            raise ForecastError("out of memory")

    stored = StoredForecaster(Broken(), a_shelf(tmp_path))
    with pytest.raises(ForecastError, match="out of memory"):
        stored.forecast([context()])
    stored.close()
    assert ask(tmp_path, context()) == 1


def test_a_batch_whose_every_forecast_was_refused_is_an_answer(tmp_path: Path) -> None:
    class Refusing(Counting):
        refusals: ClassVar[dict[str, str]] = {"BTC/USD": "quantiles cross"}

        def forecast(self, contexts):  # type: ignore[no-untyped-def]
            raise ForecastError("quantiles cross")

    stored = StoredForecaster(Refusing(), a_shelf(tmp_path))
    assert stored.answers([context()])[0].reason == "quantiles cross"
    with pytest.raises(ForecastError, match="cross"):
        stored.forecast([context("ETH/USD")])


def test_a_fallbacks_answer_does_not_lie_under_the_compiled_key(tmp_path: Path) -> None:
    inner = Counting(compile_mode="eager")
    stored = StoredForecaster(inner, a_shelf(tmp_path, compile_mode="reduce-overhead by inductor"))
    with pytest.raises(ForecastError, match="answered eager"):
        stored.forecast([context()])
    assert len(a_shelf(tmp_path, compile_mode="reduce-overhead by inductor")) == 0


def test_without_paths_they_are_not_kept_and_not_missed(tmp_path: Path) -> None:
    stored = StoredForecaster(Counting(), a_shelf(tmp_path, paths=False))
    assert stored.forecast([context()])["BTC/USD"].paths is None
    stored.close()
    assert StoredForecaster(Counting(), a_shelf(tmp_path, paths=False)).forecast([context()])["BTC/USD"].paths is None


def test_a_damaged_part_is_computed_again(tmp_path: Path) -> None:
    asked = context()
    ask(tmp_path, asked)
    (part,) = tmp_path.rglob("*.parquet")
    data = bytearray(part.read_bytes())
    paths = Counting().forecast([asked])["BTC/USD"].paths
    assert paths is not None
    data[data.index(paths[0, 0, :1].tobytes())] ^= 0x01  # one bit of a price
    part.write_bytes(data)
    assert ask(tmp_path, asked) == 1  # and written again; the damaged one is set aside
    assert ask(tmp_path, asked) == 0
    assert len(list(tmp_path.rglob("*.damaged"))) == 1
    part.write_bytes(part.read_bytes()[:50])
    assert ask(tmp_path, asked) == 1


def test_much_is_written_without_being_told_to(tmp_path: Path) -> None:
    inner = Counting()
    stored = StoredForecaster(inner, a_shelf(tmp_path))
    stored.forecast([context(f"S{n}") for n in range(FLUSH_EVERY + 3)])
    assert len(a_shelf(tmp_path)) >= FLUSH_EVERY


def test_a_person_can_read_what_a_folder_depends_on(tmp_path: Path) -> None:
    ask(tmp_path, context())
    (about,) = tmp_path.rglob("key.json")
    assert json.loads(about.read_text())["model"] == "counting@1"


def test_it_closes_what_it_was_given(tmp_path: Path) -> None:
    inner = Counting()
    StoredForecaster(inner, a_shelf(tmp_path)).close()
    assert inner.closed


# ---- the keys of real backends ----


def test_the_options_of_a_backend_are_in_its_key() -> None:
    plain = key_of("baseline", {})
    assert key_of("baseline", {"seed": 1}).seed == "1"
    different = [
        key_of("baseline", {"seed": 1}),
        key_of("baseline", {"samples": 64}),
        key_of("baseline", {}, paths=False),
    ]
    assert len({plain.digest, *(each.digest for each in different)}) == 4
    assert plain.digest == key_of("baseline", {}).digest


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch")
    from forecasters.toto.checkpoint import make_checkpoint

    return make_checkpoint("tiny", tmp_path_factory.mktemp("toto"), 0)


def test_weights_dtype_compilation_and_device_are_in_the_key_of_a_model(checkpoint: Path, tmp_path: Path) -> None:
    from forecasters.toto.checkpoint import make_checkpoint

    other = tmp_path / checkpoint.name
    make_checkpoint("tiny", other, 1)
    options: dict[str, object] = {"model_id": str(checkpoint), "device": "cpu"}
    plain = key_of("toto", options)
    assert plain.model.startswith(f"{checkpoint.name}@")
    assert key_of("toto", {**options, "model_id": str(other)}).weights != plain.weights
    compiled = key_of("toto-compiled", options)
    assert (plain.compile_mode, compiled.compile_mode) == ("eager", "reduce-overhead by inductor")
    assert key_of("toto-compiled", {**options, "compile_mode": "default"}).digest != compiled.digest
    assert key_of("toto", {**options, "num_samples": 32}).digest != plain.digest
    assert plain.device.startswith("cpu ")


def test_the_device_is_said_with_its_kind() -> None:
    assert device_kind("cpu").startswith("cpu ")


@pytest.mark.slow  # imports torch, in a process of its own
def test_the_device_is_what_auto_means_here() -> None:
    assert device_kind("auto") == device_kind("cuda") or device_kind("auto").startswith("cpu ")


def test_the_code_of_a_backend_is_its_own_and_what_it_shares() -> None:
    found = {file.name if file.parent.name == "forecasters" else f"{file.parent.name}/{file.name}" for file in
             source_files("baseline", "forecasters.backends.baseline")}  # fmt: skip
    assert {"backends/baseline.py", "types.py", "options.py"} <= found
    assert not any(name.startswith(("kronos/", "toto/", "toto1/")) or name == "backends/kronos.py" for name in found)
    kronos = {str(file) for file in source_files("kronos", "forecasters.backends.kronos")}
    assert any("forecasters/kronos/generate.py" in file for file in kronos)
    assert not any("backends/toto.py" in file for file in kronos)


def test_a_changed_line_of_code_changes_its_hash(tmp_path: Path) -> None:
    file = tmp_path / "model.py"
    file.write_text("scale = 1.0\n")
    before = hash_of_files([file])
    file.write_text("scale = 1.1\n")
    assert hash_of_files([file]) != before
    with pytest.raises(ForecastError, match="can't be read"):
        hash_of_files([tmp_path / "gone.py"])


def test_a_third_partys_backend_has_its_own_code_in_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "oddities_keyed"
    monkeypatch.syspath_prepend(str(install_oddities(tmp_path, name=name)))
    known = [info.name for info in registry.available() if info.source == name and not info.missing]
    assert known, "the package brings backends"
    described = registry.describe(known[0], {})
    files = source_files(described.backend, described.module)
    own = [file for file in files if file.is_relative_to(tmp_path)]
    shared = [file for file in files if file not in own]
    assert own
    assert all("forecasters" in file.parts for file in shared), "what it uses of ours changes its forecasts, too"


def test_a_backend_that_lacks_something_has_no_key(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="a checkpoint is looked for only where torch is: make models")
    with pytest.raises(ForecastError, match=r"no folder|no checkpoint"):
        key_of("toto", {"model_id": str(tmp_path / "nothing")})
    with pytest.raises(ForecastError, match="no backend is called"):
        key_of("nope", {})


def test_a_question_is_of_a_value_not_of_an_array() -> None:
    one, other = context(), context()
    assert one.values is not other.values
    assert question_of(one) == question_of(other)

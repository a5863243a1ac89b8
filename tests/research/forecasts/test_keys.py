"""What changes a forecast is in its key: files that options name, what the code imports, all of its own package."""

from __future__ import annotations

import os
from importlib import invalidate_caches
from pathlib import Path

import pytest

from tests.forecasters.support import context
from tests.research.evaluate.support import Counting, a_key
from tests.research.forecasts.planted import ROUGH, SILENT, WEIGHED, plant
from trader.commands.options import settings_of
from trader.research.forecasts import key, sources_of
from trader.research.forecasts.arms import described, open_arm
from trader.research.forecasts.key import known_backend
from trader.research.forecasts.sources_of import TooMuch, hash_of_files, libraries_of, named_files, source_files
from trader.research.forecasts.store import ForecastStore, StoredForecaster


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    plant(tmp_path / "site", monkeypatch, weighed=WEIGHED, silent=SILENT)
    file = tmp_path / "weights.txt"
    file.write_text("1.01")
    return file


def answer(name: str, weights: Path, said: list[str]) -> float:
    """The middle of the first bar's close, of the store or computed."""
    backend = described(name, lambda name: settings_of({"forecaster": name}), options={"weights": str(weights)})
    with open_arm(backend, ForecastStore(weights.parent / "store"), said.append) as arm:
        return arm.forecaster.forecast([context()])["BTC/USD"].quantile(0.5, 0, 3)


def test_other_weights_at_the_same_path_give_a_fresh_forecast(weights: Path) -> None:
    before = answer("weighed", weights, [])
    assert answer("weighed", weights, []) == before == pytest.approx(101.0)
    weights.write_text("1.07")
    assert answer("weighed", weights, []) == pytest.approx(107.0)


def test_so_they_do_where_size_and_time_are_as_before(weights: Path) -> None:
    answer("weighed", weights, [])
    was = weights.stat()
    weights.write_text("1.07")
    os.utime(weights, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert answer("weighed", weights, []) == pytest.approx(107.0)


def test_a_backend_that_cannot_say_what_changes_it_is_not_stored_and_that_is_said(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    answer("silent", weights, said)
    (line,) = [line for line in said if "not stored" in line]
    assert line == (
        "silent: its forecasts are not stored: it does not say which files change them: give it checkpoint(options)"
    )
    assert not list((weights.parent / "store").rglob("*.parquet"))
    before = known_backend("silent", {}).key.digest
    assert known_backend("silent", {}).key.digest == before, "two that are the same can be told to be, here and now"
    monkeypatch.setattr(key, "_THIS_TIME", "another process's")
    assert known_backend("silent", {}).key.digest != before


def test_of_an_unkept_key_nothing_is_found_again(tmp_path: Path) -> None:
    for _ in range(2):
        inner = Counting()
        stored = StoredForecaster(inner, ForecastStore(tmp_path).shelf(a_key(once="x")))
        stored.forecast([context()])
        stored.forecast([context()])
        stored.close()
        assert len(inner.asked) == 2
    assert not list(tmp_path.iterdir())


def test_no_backend_may_call_everything_rounding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path / "site", monkeypatch, rough=ROUGH)
    found = known_backend("rough", {}).rounding
    assert found is not None
    assert (found.difference, found.agreement, found.sampling) == (0.02, 0.95, 4.0)


# ---- files that options name ----


def test_files_are_found_wherever_an_option_names_them(tmp_path: Path) -> None:
    (tmp_path / "model" / "deep").mkdir(parents=True)
    for name in ("a.bin", "deep/b.bin"):
        (tmp_path / "model" / name).write_text(name)
    (tmp_path / "model" / "deep" / "back").symlink_to(tmp_path / "model")  # a circle
    options = {"trees": 5, "name": "nothing of that name", "inner": {"list": [str(tmp_path / "model")]}}
    (found,) = named_files(options).values()
    assert {file.name for file in found} == {"a.bin", "b.bin"}


def test_a_folder_that_is_none_of_weights_is_not_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources_of, "MOST_FILES", 2)
    for number in range(3):
        (tmp_path / f"{number}").touch()
    with pytest.raises(TooMuch, match="more than 2 files"):
        named_files(str(tmp_path))


# ---- code and what it imports ----


def lay_out(folder: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    invalidate_caches()


def test_data_of_its_package_and_what_lies_beside_it_are_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "keyed_mine/__init__.py": "def build(options):\n    import keyed_beside\n",
        "keyed_mine/weights.npz": "weights",
        "keyed_mine/__pycache__/x.pyc": "compiled",
        "keyed_beside.py": "import keyed_further",
        "keyed_further.py": "import numpy",
        "keyed_stranger.py": "",
    }
    lay_out(tmp_path, monkeypatch, files)
    found = source_files("mine", "keyed_mine")
    assert {file.name for file in found if file.is_relative_to(tmp_path)} == {
        "__init__.py",
        "weights.npz",
        "keyed_beside.py",
        "keyed_further.py",
    }
    before = hash_of_files(found)
    (tmp_path / "keyed_mine" / "weights.npz").write_text("heavier")
    assert hash_of_files(source_files("mine", "keyed_mine")) != before


def test_versions_are_of_what_it_imports_and_of_what_that_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "versioned_mine.py": "def build(options):\n    import versioned_trees\n",
        "versioned_trees/__init__.py": "",
        "Versioned_Trees-2.5.dist-info/METADATA": (
            "Metadata-Version: 2.1\nName: versioned-trees\nVersion: 2.5\nRequires-Dist: versioned-leaves (>=1)\n"
            "Requires-Dist: versioned-plots ; extra == 'plots'\n"
        ),
        "Versioned_Trees-2.5.dist-info/top_level.txt": "versioned_trees\n",
        "versioned_leaves-1.1.dist-info/METADATA": "Metadata-Version: 2.1\nName: versioned-leaves\nVersion: 1.1\n",
        "versioned_plots-9.dist-info/METADATA": "Metadata-Version: 2.1\nName: versioned-plots\nVersion: 9\n",
    }
    lay_out(tmp_path, monkeypatch, files)
    found = libraries_of(source_files("mine", "versioned_mine"), "versioned_mine")
    assert (found["versioned-trees"], found["versioned-leaves"]) == ("2.5", "1.1")
    assert "versioned-plots" not in found
    assert "numpy" in found
    assert "python" in found
    assert not any(file.parent.name == "versioned_trees" for file in source_files("mine", "versioned_mine"))


def test_our_own_versions_are_those_of_what_computes() -> None:
    found = libraries_of(source_files("kronos", "forecasters.backends.kronos"), "forecasters.backends.kronos")
    assert {"numpy", "torch", "triton", "pydantic", "safetensors"} <= set(found)
    assert not any("trader" in name for name in found)

"""Strategies of other packages and in files of one's own: found, named by their content, their parameters typed."""

from __future__ import annotations

import itertools
from decimal import Decimal
from pathlib import Path
from textwrap import dedent

import pytest

from settings.load import load
from tests.e2e.running import ask
from tests.packages import install
from trader.core.plan import view_of
from trader.daemon.parameters import decider, rules_of
from trader.errors import ConfigurationError
from trader.strategies import GROUP, available, find, names

COUNTER = itertools.count()
MINE = """
    '''Mine.

    Second line.
    '''
    from __future__ import annotations
    from dataclasses import dataclass
    from decimal import Decimal
    from enum import Enum

    class Side(Enum):
        LONG = "long"
        BOTH = "both"

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Params:
        lookback: int = 3
        share: float = 0.5
        margin: Decimal = Decimal(1)
        eager: bool = False
        side: Side = Side.LONG
        label: str = "x"

    def decide(view, params):
        return ()
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def written(folder: Path, source: str = MINE, name: str = "my_strategy.py") -> Path:
    path = folder / name
    path.write_text(dedent(source))
    return path


def packaged(site: Path, source: str = MINE, *, name: str = "mine-all-mine") -> None:
    module = f"mine_{next(COUNTER)}"
    install(site, module, GROUP, {name: module}, **{module: source})


# ---- in a file ----


def test_a_file_is_named_by_its_path_and_its_content(tmp_path: Path) -> None:
    path = written(tmp_path)
    first = find(str(path))
    assert first.name.startswith(f"{path}@")
    assert find(first.name).function is first.function
    written(tmp_path, MINE.replace("= 3", "= 4"))
    second = find(str(path))
    assert second.name != first.name
    assert (second.params({}).lookback, find(first.name).params({}).lookback) == (
        4,
        3,
    )  # loaded ones stay what they are


def test_a_cycle_of_a_file_is_replayed_by_that_file_alone(tmp_path: Path) -> None:
    path = written(tmp_path, MINE.replace("return ()", "return tuple()"))
    flags = ("--strategy", str(path), "--cycles", "1", "--speed", "max", "--plain", "--state-dir", str(tmp_path / "s"))
    ran = ask(tmp_path, "run", *flags)
    assert ran.code == 0, ran.err
    state = {"STATE_DIR": str(tmp_path / "s")}
    again = ask(tmp_path, "replay", "last", **state)
    assert (again.code, "the same" in again.out) == (0, True)
    path.write_text(path.read_text() + "# another file now\n")
    refused = ask(tmp_path, "replay", "last", **state)
    assert refused.code == 78
    assert "is not the file that decided then" in refused.err


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("Params = 3\n", "needs Params"),
        ("def decide(view, params): ...\n", "needs Params"),
        ("1/0\n", "can't be loaded: my_strategy.py, line 1: ZeroDivisionError: division by zero"),
        ("def decide(view, params)\n    return ()\n", "can't be loaded: my_strategy.py, line 1: expected ':'"),
        ("import math\nmath.nothing\n", "can't be loaded: my_strategy.py, line 2: AttributeError: module 'math'"),
        ("x = 1\nmissing\n", "can't be loaded: my_strategy.py, line 2: NameError: name 'missing' is not defined"),
        (MINE.replace("lookback: int = 3", "lookback: list[int]"), "Params.lookback is a list"),
        (MINE.replace("lookback: int = 3", "lookback: int"), "Params.lookback has no default"),
        (MINE.replace("lookback: int = 3", "lookback: Nonsense = 3"), "can't be read: name 'Nonsense'"),
    ],
)
def test_what_is_no_strategy_is_one_line(tmp_path: Path, source: str, words: str) -> None:
    path = written(tmp_path, source)
    with pytest.raises(ValueError, match=words) as raised:
        find(str(path))
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_its_settings_go_by_the_files_name_wherever_it_lies(tmp_path: Path) -> None:
    path = written(tmp_path, name="My-Strategy.py")
    loaded = load(environ={"STRATEGY": str(path), "MY_STRATEGY__LOOKBACK": "7"}, folder=tmp_path, strategies=names())
    rules = rules_of(loaded.settings)
    assert rules.params == {"lookback": "7"}
    assert rules.strategy == find(str(path)).name
    assert [row.origin for row in loaded.rows() if row.name == "MY_STRATEGY__LOOKBACK"] == ["environment"]


def test_a_path_means_the_same_from_every_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    loaded = load(environ={"STRATEGY": "../my_strategy.py"}, folder=tmp_path, strategies=names())
    assert loaded.settings.trading.strategy == str(path)


# ---- in a package ----


def test_a_package_brings_a_strategy_with_its_settings(site: Path) -> None:
    packaged(site)
    assert "mine-all-mine" in names()
    info = next(each for each in available() if each.name == "mine-all-mine")
    assert (info.description, info.problem) == ("Mine.", "")
    assert info.params[0] == "lookback"
    environ = {"STRATEGY": "mine-all-mine", "MINE_ALL_MINE__EAGER": "yes"}
    loaded = load(environ=environ, folder=site, strategies=names())
    assert rules_of(loaded.settings).params == {"eager": "yes"}


def test_a_name_taken_twice_is_refused_whoever_is_meant(site: Path) -> None:
    packaged(site, name="flat")
    with pytest.raises(ValueError, match="'flat' is taken twice"):
        find("maxdiff")


def test_a_broken_package_is_listed_with_the_reason_and_harms_no_other(site: Path) -> None:
    packaged(site, "import nonsense_that_is_not_there\n", name="broken")
    info = next(each for each in available() if each.name == "broken")
    assert "can't be loaded: ModuleNotFoundError" in info.problem
    environ = {"STRATEGY": "maxdiff", "BROKEN__X": "1"}
    rules_of(load(environ=environ, folder=site, strategies=names()).settings)


# ---- parameters ----


def test_parameters_are_read_by_their_types(tmp_path: Path) -> None:
    strategy = find(str(written(tmp_path)))
    given = {"lookback": "5", "share": "0.1", "margin": "2.50", "eager": "on", "side": "both", "label": "y"}
    params = strategy.params(given)
    assert (params.lookback, params.share, params.margin, params.eager) == (5, 0.1, Decimal("2.50"), True)
    assert (params.side.value, params.label) == ("both", "y")
    assert strategy.params(strategy.texts()) == strategy.params({})


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("eager", "maybe", "'maybe' is not true or false"),
        ("lookback", "5.5", "'5.5' is not a whole number"),
        ("share", "nan", "'nan' is not a number"),
        ("margin", "Infinity", "'Infinity' is not a number"),
        ("side", "up", "'up' is not one of long, both"),
        ("lokback", "5", "did you mean 'lookback'"),
    ],
)
def test_a_wrong_one_is_one_line(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        find(str(written(tmp_path))).params({name: text})


@pytest.mark.parametrize("chosen", ["mine-all-mine", "maxdiff", "file"])
def test_a_misspelt_parameter_ends_the_start_whichever_strategy_is_chosen(site: Path, chosen: str) -> None:
    packaged(site)
    strategy = str(written(site)) if chosen == "file" else chosen
    environ = {"STRATEGY": strategy, "MINE_ALL_MINE__LOKBACK": "5"}
    loaded = load(environ=environ, folder=site, strategies=names())
    with pytest.raises(ConfigurationError, match=r"mine-all-mine has no parameter 'lokback' .*'lookback'") as raised:
        rules_of(loaded.settings)
    assert raised.value.exit_code == 78


def test_it_decides(tmp_path: Path) -> None:
    from trader.contracts.situations import situation

    inputs = situation(1, 0.0)
    assert decider(str(written(tmp_path)), {})(inputs) == ()
    assert view_of(inputs).forecasts

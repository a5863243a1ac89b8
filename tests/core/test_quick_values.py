"""Quick values are frozen dataclasses in every way that can be seen; a name is one object."""

from __future__ import annotations

import copy
import pickle
import threading
import uuid
from dataclasses import FrozenInstanceError, asdict, dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trader.core.names import AssetClass, Symbol, Timeframe
from trader.core.values import altered, maker, quick
from trader.exchange.engine.ids import derived_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    first: int
    second: str = "two"
    third: dict[str, int] = field(default_factory=dict)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Quick:
    first: int
    second: str = "two"
    third: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.first < 0:
            raise ValueError("below zero")


def test_a_quick_value_is_what_the_plain_one_is() -> None:
    one, plain = Quick(first=1, third={"a": 2}), Plain(first=1, third={"a": 2})
    assert asdict(one) == asdict(plain)
    assert repr(one) == repr(plain).replace("Plain", "Quick")
    assert one == Quick(first=1, third={"a": 2}) != Quick(first=2, third={"a": 2})
    assert replace(one, first=3) == Quick(first=3, third={"a": 2})
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == copy.copy(one) == one
    assert type(one) is Quick
    assert isinstance(one, Quick)


def test_a_quick_value_is_frozen_from_its_first_moment() -> None:
    one = Quick(first=1)
    with pytest.raises(FrozenInstanceError):
        one.first = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del one.second
    assert not hasattr(one, "__dict__")


def test_a_quick_value_checks_itself_and_its_arguments() -> None:
    with pytest.raises(ValueError, match="below zero"):
        Quick(first=-1)
    with pytest.raises(TypeError, match="first"):
        Quick()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="fourth"):
        Quick(first=1, fourth=4)  # type: ignore[call-arg]


def test_a_quick_value_has_containers_of_its_own() -> None:
    assert Quick(first=1).third is not Quick(first=1).third


def test_what_has_no_slots_of_its_own_is_refused() -> None:
    with pytest.raises(TypeError, match="slots"):

        @quick
        @dataclass(frozen=True, kw_only=True)
        class Open:
            first: int


def test_a_name_is_one_object_wherever_it_comes_from() -> None:
    one = Symbol("BTC/USD")
    assert one is Symbol.parse("btcusd", AssetClass.CRYPTO) is copy.deepcopy(one) is pickle.loads(pickle.dumps(one))
    hour = Timeframe(1, "Hour")
    assert hour is Timeframe.parse("1h") is copy.copy(hour) is pickle.loads(pickle.dumps(hour))
    assert {one: 1}[Symbol("BTC/USD")] == 1
    assert one != "BTC/USD"


def test_a_name_is_one_object_for_all_threads() -> None:
    found: list[Symbol] = []
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait()
        found.extend(Symbol(f"THREAD{number}") for number in range(200))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len({id(symbol) for symbol in found}) == 200
    assert all(symbol.text.startswith("THREAD") and symbol.asset_class is AssetClass.STOCK for symbol in found)


def test_what_is_no_name_is_refused_each_time() -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="not a symbol"):
            Symbol("btc/usd")
        with pytest.raises(ValueError, match="not a timeframe"):
            Timeframe(60, "Min")


@given(st.uuids(), st.text())
def test_derived_ids_are_those_of_the_standard(namespace: uuid.UUID, name: str) -> None:
    try:
        expected = str(uuid.uuid5(namespace, name))
    except UnicodeEncodeError:  # a lone surrogate has no bytes
        return
    assert derived_id(namespace, name) == expected


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Unchecked:
    first: int
    second: str = "two"


def test_an_altered_value_is_a_replaced_one() -> None:
    one = Unchecked(first=1)
    assert altered(one, second="three") == replace(one, second="three") != one == altered(one)
    assert one.second == "two"
    assert type(altered(one)) is Unchecked
    with pytest.raises(FrozenInstanceError):
        altered(one).first = 2


def test_nothing_is_altered_past_a_check_or_beyond_its_fields() -> None:
    with pytest.raises(AttributeError):
        altered(Unchecked(first=1), third=3)
    with pytest.raises(KeyError):
        altered(Quick(first=1), first=-1)  # its own check would not be made
    with pytest.raises(KeyError):
        altered(Plain(first=1), first=2)


@pytest.mark.parametrize("kind", [Quick, Unchecked])
def test_a_maker_makes_what_the_kind_itself_makes(kind: type[Quick | Unchecked]) -> None:
    make = maker(kind)
    assert make(first=1) == kind(first=1) != make(first=2, second="three")
    assert type(make(first=1)) is kind
    with pytest.raises(FrozenInstanceError):
        make(first=1).first = 2
    with pytest.raises(TypeError):
        make()
    with pytest.raises(TypeError):
        make(first=1, fourth=4)


def test_a_maker_checks_as_the_kind_does_and_shares_nothing() -> None:
    make = maker(Quick)
    with pytest.raises(ValueError, match="below zero"):
        make(first=-1)
    assert make(first=1).third is not make(first=1).third
    with pytest.raises(KeyError):
        maker(Plain)

"""What every backend must hold to, built in or not. Run over all that the registry knows; what can't run here skips."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from forecasters import registry
from forecasters.contract import CHECKS, Subject
from tests.contracts.backend_options import options_for


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="module", params=registry.available(), ids=lambda info: info.name)
def backend(request: pytest.FixtureRequest, folder: Path) -> Iterator[Subject]:
    info: registry.BackendInfo = request.param
    if info.missing:
        pytest.skip(f"{info.name} can't run here: {'; '.join(info.missing)}")
    options = options_for(info.name, folder)
    forecaster = registry.build(info.name, options)
    forecaster.warm_up()
    yield Subject(name=info.name, options=options, forecaster=forecaster)
    forecaster.close()


@pytest.mark.parametrize("check", CHECKS)
def test_a_backend_holds_to(backend: Subject, check: str) -> None:
    assert CHECKS[check](backend) == ""

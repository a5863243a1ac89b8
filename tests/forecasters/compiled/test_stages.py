"""The stages of a compiled model lead into each other as their table says."""

from __future__ import annotations

from forecasters.backends import baseline
from forecasters.compiled.stages import Owed, Stage, Standing

NOTHING = Owed(forecasts={}, contexts=(), compiled_s=None)


def serving() -> Standing:
    standing = Standing(retry_at=0.0)
    standing.try_it()
    standing.compiled = baseline.build(baseline.Options())
    standing.serve()
    return standing


def test_from_never_compiled_to_serving_there_is_a_reason_until_it_serves() -> None:
    standing = Standing(retry_at=0.0)
    assert standing.stage.is_idle
    assert standing.reason
    standing.try_it()
    assert standing.stage is Stage.TRYING
    standing.serve()
    assert (standing.stage, standing.reason) == (Stage.SERVING, "")


def test_after_a_failure_it_is_tried_again_and_its_counts_begin_anew() -> None:
    standing = serving()
    standing.forecasts, standing.recompiles_said = 7, 1
    standing.let_go()
    assert standing.fail("it differs", retry_at=60.0)
    assert (standing.stage, standing.retry_at) == (Stage.FAILED, 60.0)
    standing.try_it()
    assert standing.stage is Stage.RETRYING
    standing.serve()
    assert (standing.forecasts, standing.recompiles_said) == (0, 0)


def test_the_same_failure_at_the_next_try_is_no_news_and_after_serving_it_is() -> None:
    standing = serving()
    assert standing.fail("it differs", retry_at=60.0)
    standing.try_it()
    assert not standing.fail("it differs", retry_at=120.0)
    standing.try_it()
    standing.serve()
    assert standing.fail("it differs", retry_at=180.0)


def test_what_is_owed_goes_with_the_model_that_owes_it() -> None:
    standing = serving()
    standing.owe(NOTHING)
    assert standing.stage is Stage.OWING
    standing.settle()
    assert (standing.stage, standing.owed) == (Stage.SERVING, None)
    standing.owe(NOTHING)
    compiled = standing.compiled
    assert standing.let_go() is compiled
    assert (standing.compiled, standing.owed, standing.stage.is_idle) == (None, None, True)

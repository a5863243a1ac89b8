"""What is kept from step to step changes nothing, and neither does what else is in the batch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.forecasters.support import bars, hours

if TYPE_CHECKING:
    from forecasters.kronos.generate import Kronos, Series


def series(count: int, horizon: int, *, seed: int = 7, last_close: float = 100.0) -> Series:
    from forecasters.kronos.generate import Series

    times = hours(count + horizon)
    values = bars(count, seed=seed, last_close=last_close)
    return Series(bars=values, times=times[:count], future_times=times[count:], seed=seed)


def nucleus() -> object:
    from forecasters.kronos.sampling import Sampling

    return Sampling(top_p=0.9)


@pytest.mark.parametrize("samples", [1, 2, 7])
@pytest.mark.parametrize(("count", "horizon"), [(1, 1), (1, 5), (2, 1), (33, 12), (64, 3)])
def test_the_cached_tokens_are_those_of_a_full_recomputation(
    models: dict[str, Kronos], samples: int, count: int, horizon: int
) -> None:
    kronos, asked = models["small"], series(count, horizon)
    cached = kronos.draw(asked, nucleus(), samples=samples)
    strict = kronos.draw(asked, nucleus(), samples=samples, strategy="strict")
    assert np.array_equal(cached, strict)


def test_the_cached_paths_are_those_of_a_full_recomputation(models: dict[str, Kronos]) -> None:
    kronos, asked = models["small"], series(50, 12)
    cached = kronos.generate_batch([asked], nucleus(), samples=9)[0]
    strict = kronos.generate_batch([asked], nucleus(), samples=9, strategy="strict")[0]
    spread = np.asarray(asked.bars).std(axis=0)
    assert (np.abs(cached - strict) <= 1e-4 * spread).all()


def test_a_context_of_another_length_in_the_batch_changes_no_bit(models: dict[str, Kronos]) -> None:
    kronos = models["small"]
    batch = [series(count, 6, seed=count) for count in (40, 47, 48, 49, 7, 1, 44, 120)]
    together = kronos.generate_batch(batch, nucleus(), samples=5)
    for asked, paths in zip(batch, together, strict=True):
        assert np.array_equal(paths, kronos.generate_batch([asked], nucleus(), samples=5)[0])


def test_a_lone_sample_does_not_depend_on_its_neighbours_either(models: dict[str, Kronos]) -> None:
    kronos = models["small"]
    batch = [series(40, 6, seed=seed) for seed in range(3)]
    together = kronos.generate_batch(batch, nucleus(), samples=1)
    for asked, paths in zip(batch, together, strict=True):
        assert np.array_equal(paths, kronos.generate_batch([asked], nucleus(), samples=1)[0])


def test_memory_used_before_leaves_no_trace(models: dict[str, Kronos]) -> None:
    """The same shape again, after a longer context has filled places that are now behind the end."""
    kronos = models["small"]
    first = kronos.generate_batch([series(40, 6)], nucleus(), samples=4)[0]
    kronos.generate_batch([series(48, 6, seed=99)], nucleus(), samples=4)
    assert np.array_equal(first, kronos.generate_batch([series(40, 6)], nucleus(), samples=4)[0])
    kronos.drop_cache()
    assert np.array_equal(first, kronos.generate_batch([series(40, 6)], nucleus(), samples=4)[0])


def test_a_series_seed_decides_its_paths(models: dict[str, Kronos]) -> None:
    kronos, asked = models["small"], series(40, 6)
    same, other = replace(asked), replace(asked, seed=8)
    one, again, different = kronos.generate_batch([asked, same, other], nucleus(), samples=4)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, different)


def test_a_longer_horizon_begins_like_a_shorter_one(models: dict[str, Kronos]) -> None:
    kronos = models["small"]
    short, long = series(40, 4), series(40, 9)
    assert np.array_equal(
        kronos.draw(short, nucleus(), samples=3)[0], kronos.draw(long, nucleus(), samples=3)[0][:, :4]
    )


def test_a_context_too_long_for_the_cache_is_cut_to_what_leaves_room_for_the_horizon(
    models: dict[str, Kronos],
) -> None:
    from forecasters.kronos.generate import Series

    kronos, whole = models["small"], series(300, 6)
    room = kronos.max_context - 6
    cut = Series(
        bars=np.asarray(whole.bars)[-room:],
        times=np.asarray(whole.times)[-room:],
        future_times=whole.future_times,
        seed=whole.seed,
    )
    assert np.array_equal(*(kronos.generate_batch([each], nucleus(), samples=3)[0] for each in (whole, cut)))


def test_beyond_the_context_the_strict_strategy_slides_its_window(models: dict[str, Kronos]) -> None:
    """Step by step with the window that the original would see."""
    import torch

    from forecasters.kronos.features import calendar
    from forecasters.kronos.generate import Series
    from forecasters.kronos.sampling import Sampling

    kronos, asked = models["small"], series(260, 3)
    s1, s2 = kronos.draw(asked, Sampling(greedy=True), samples=1, strategy="strict")
    context = [torch.from_numpy(tokens) for tokens in kronos.encode(asked.bars)]
    stamps = torch.from_numpy(np.concatenate([calendar(asked.times), calendar(asked.future_times)]))
    network = kronos._network
    for step in range(3):
        end = 260 + step
        window = slice(end - kronos.max_context, end)
        with torch.no_grad():
            rows = network.context(context[0][None, window], context[1][None, window], stamps[None, window])
            next_s1 = network.s1_logits(rows).argmax(dim=-1)
            next_s2 = network.s2_logits(rows, next_s1).argmax(dim=-1)
        assert (int(next_s1), int(next_s2)) == (s1[0, step], s2[0, step])
        context = [torch.cat((context[0], next_s1)), torch.cat((context[1], next_s2))]
    assert isinstance(asked, Series)

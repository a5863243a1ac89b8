"""What is drawn has the original's distribution: filters, draws, and every path of a tiny vocabulary counted."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="Kronos needs torch: pip install '.[models]'")

from forecasters.kronos.sampling import Sampling, choose, probabilities  # noqa: E402
from tests.forecasters.kronos.test_kronos_cache import series  # noqa: E402

if TYPE_CHECKING:
    from forecasters.kronos.generate import Kronos


def spelled_out(logits: np.ndarray, *, temperature: float = 1.0, top_p: float = 1.0, top_k: int = 0) -> np.ndarray:
    """The filters one token at a time, in double precision."""
    scaled = logits.astype(np.float64) / temperature
    weights = np.exp(scaled - scaled.max())
    weights /= weights.sum()
    if top_k > 0:
        kept = scaled >= np.sort(scaled)[::-1][min(top_k, len(scaled)) - 1]
    elif top_p < 1:
        kept = np.zeros(len(scaled), dtype=bool)
        before = 0.0
        for token in np.argsort(-scaled, kind="stable"):
            if before > top_p:
                break
            kept[token] = True
            before += weights[token]
    else:
        kept = np.ones(len(scaled), dtype=bool)
    return np.where(kept, weights, 0) / weights[kept].sum()


def filtered(logits: np.ndarray, **options: float) -> np.ndarray:
    found = probabilities(torch.from_numpy(logits.astype(np.float32)), Sampling(**options)).numpy().astype(np.float64)
    return found / found.sum(axis=-1, keepdims=True)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    spread=st.floats(0.1, 8),
    temperature=st.floats(0.3, 3),
    top_p=st.floats(0.05, 1.0),
    top_k=st.integers(0, 40),
)
def test_the_filters_keep_what_they_say(seed: int, spread: float, temperature: float, top_p: float, top_k: int) -> None:
    logits = (spread * np.random.default_rng(seed).standard_normal(32)).astype(np.float32)
    options = {"temperature": temperature, "top_p": top_p, "top_k": top_k}
    np.testing.assert_allclose(filtered(logits, **options), spelled_out(logits, **options), atol=1e-5)


def test_a_nucleus_of_all_but_nothing_holds_all() -> None:
    logits = np.log(np.full(4, 0.25))
    np.testing.assert_allclose(filtered(logits, top_p=1 - 2**-53), np.full(4, 0.25), atol=1e-6)


def test_a_top_k_above_zero_ignores_top_p() -> None:
    logits = np.log(np.array([0.7, 0.2, 0.1]))
    np.testing.assert_allclose(filtered(logits, top_k=2, top_p=0.01), [7 / 9, 2 / 9, 0], atol=1e-6)


def test_tokens_that_tie_with_the_kth_are_kept() -> None:
    logits = np.log(np.array([0.4, 0.2, 0.2, 0.2]))
    assert (filtered(logits, top_k=2) > 0).all()


def test_a_top_k_beyond_the_vocabulary_is_no_limit() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.2]))
    np.testing.assert_allclose(filtered(logits, top_k=1000), [0.5, 0.3, 0.2], atol=1e-6)


def test_the_nucleus_keeps_the_token_that_crosses_and_no_more() -> None:
    logits = np.log(np.array([0.15, 0.5, 0.05, 0.3]))
    assert (filtered(logits, top_p=0.6) > 0).tolist() == [False, True, False, True]
    assert (filtered(logits, top_p=0.4) > 0).tolist() == [False, True, False, False]
    assert (filtered(logits, top_p=0.9) > 0).tolist() == [True, True, False, True]


def test_the_likeliest_token_survives_any_nucleus() -> None:
    assert (filtered(np.array([80.0, 0.0, -80.0]), top_p=1e-6) > 0).tolist() == [True, False, False]


def test_a_draw_is_the_one_that_torch_makes_with_the_same_seed() -> None:
    logits = torch.randn(6, 50, generator=torch.Generator().manual_seed(1))
    ours, theirs = (torch.Generator().manual_seed(2) for _ in range(2))
    for _ in range(20):
        noise = torch.empty(6, 50).exponential_(generator=ours)
        expected = torch.multinomial(torch.softmax(logits, dim=-1), 1, generator=theirs)[:, 0]
        assert torch.equal(choose(logits, noise, Sampling(top_p=1.0)), expected)


def test_equal_tokens_at_the_edge_of_the_nucleus_are_all_kept() -> None:
    """Which of them a sort puts first is chance in the original."""
    logits = np.log(np.array([0.4, 0.2, 0.2, 0.2]))
    assert (filtered(logits, top_p=0.5) > 0).tolist() == [True, True, True, True]
    assert (filtered(logits, top_p=0.3) > 0).tolist() == [True, False, False, False]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    spread=st.floats(0.1, 60),
    share=st.sampled_from([0.0, 2.0**-24, 0.3, 0.5, 1 - 2.0**-24]),
    options=st.sampled_from([{"top_p": 0.7}, {"top_k": 3}, {"top_p": 1.0}, {"top_p": 1e-6}]),
)
def test_a_uniform_draw_never_meets_a_token_that_is_not_allowed(
    seed: int, spread: float, share: float, options: dict[str, float]
) -> None:
    logits = torch.from_numpy((spread * np.random.default_rng(seed).standard_normal((4, 50))).astype(np.float32))
    drawing = replace(Sampling(**options), noise="uniform")
    tokens = choose(logits, torch.full((4, 1), share), drawing)
    assert (probabilities(logits, drawing).gather(1, tokens[:, None]) > 0).all()


def test_a_series_draws_the_same_uniformly_whatever_else_is_in_the_batch(models: dict[str, Kronos]) -> None:
    kronos, drawing = models["small"], Sampling(noise="uniform")
    batch = [series(40, 5, seed=seed) for seed in range(3)]
    together = kronos.generate_batch(batch, drawing, samples=4)
    for asked, paths in zip(batch, together, strict=True):
        assert np.array_equal(paths, kronos.generate_batch([asked], drawing, samples=4)[0])
    strict = kronos.draw(batch[0], drawing, samples=4, strategy="strict")
    assert np.array_equal(strict, kronos.draw(batch[0], drawing, samples=4))


@pytest.mark.parametrize(
    "options", [{"temperature": 0.0}, {"top_p": 0.0}, {"top_p": 1.5}, {"top_k": -1}, {"noise": "white"}]
)
def test_impossible_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Sampling(**options)


@pytest.mark.parametrize("options", [{"top_p": 0.8}, {"top_k": 7}, {"top_p": 1.0, "temperature": 1.7}])
def test_a_seed_gives_the_tokens_of_a_plain_loop_over_the_whole_model(
    models: dict[str, Kronos], options: dict[str, float]
) -> None:
    """The original's loop: all rows again at each step, one global generator, torch's own multinomial."""
    from forecasters.kronos.features import calendar

    kronos, asked, samples = models["small"], series(30, 4), 5
    s1, s2 = (torch.from_numpy(tokens).expand(samples, -1) for tokens in kronos.encode(asked.bars))
    stamps = torch.from_numpy(np.concatenate([calendar(asked.times), calendar(asked.future_times)]))
    generator = torch.Generator().manual_seed(asked.seed)

    def drawn(logits: torch.Tensor) -> torch.Tensor:
        rows = np.stack([spelled_out(row, **options) for row in logits.numpy()])
        return torch.multinomial(torch.from_numpy(rows).float(), 1, generator=generator)

    with torch.no_grad():
        for step in range(4):
            context = kronos._network.context(s1, s2, stamps[: 30 + step].expand(samples, -1, -1))
            next_s1 = drawn(kronos._network.s1_logits(context))
            next_s2 = drawn(kronos._network.s2_logits(context, next_s1[:, 0]))
            s1, s2 = torch.cat((s1, next_s1), dim=1), torch.cat((s2, next_s2), dim=1)
    ours = kronos.draw(asked, Sampling(**{"top_p": 1.0, **options}), samples=samples)
    assert np.array_equal(ours[0], s1[:, 30:].numpy())
    assert np.array_equal(ours[1], s2[:, 30:].numpy())


@pytest.mark.parametrize("noise", ["exponential", "uniform"])
@pytest.mark.parametrize("options", [{"top_p": 0.8}, {"top_k": 2}, {"top_p": 1.0, "temperature": 0.6}])
def test_every_path_of_a_tiny_vocabulary_comes_as_often_as_it_should(
    models: dict[str, Kronos], options: dict[str, float], noise: Literal["exponential", "uniform"]
) -> None:
    """4 x 4 tokens, two steps, 256 paths: each one's probability from the whole model, against 8,000 draws."""
    kronos, asked, samples = models["two bits"], series(20, 2), 8000
    expected = enumerate_paths(kronos, asked, options)
    s1, s2 = kronos.draw(asked, replace(Sampling(**{"top_p": 1.0, **options}), noise=noise), samples=samples)
    codes = ((s1[:, 0] * 4 + s2[:, 0]) * 4 + s1[:, 1]) * 4 + s2[:, 1]
    counts = np.bincount(codes, minlength=256)
    assert (counts[expected == 0] == 0).all()
    likely = expected * samples >= 5
    squares = (counts[likely] - samples * expected[likely]) ** 2 / (samples * expected[likely])
    degrees = int(likely.sum()) - 1
    assert squares.sum() < degrees + 4 * np.sqrt(2 * degrees)  # chi-squared, four of its standard deviations


def enumerate_paths(kronos: Kronos, asked: object, options: dict[str, float]) -> np.ndarray:
    from forecasters.kronos.features import calendar
    from forecasters.kronos.generate import Series

    assert isinstance(asked, Series)
    context = [torch.from_numpy(tokens)[None] for tokens in kronos.encode(asked.bars)]
    stamps = torch.from_numpy(np.concatenate([calendar(asked.times), calendar(asked.future_times)]))[None]

    def pairs(s1: torch.Tensor, s2: torch.Tensor) -> np.ndarray:
        """[4, 4] probability of each next pair."""
        with torch.no_grad():
            rows = kronos._network.context(s1, s2, stamps[:, : s1.shape[1]])
            first = spelled_out(kronos._network.s1_logits(rows)[0].numpy(), **options)
            second = [
                spelled_out(kronos._network.s2_logits(rows, torch.tensor([token]))[0].numpy(), **options)
                for token in range(4)
            ]
        return first[:, None] * np.stack(second)

    expected = np.zeros((4, 4, 4, 4))
    begin = pairs(*context)
    for one, two in itertools.product(range(4), range(4)):
        if begin[one, two] == 0:
            continue
        longer = [
            torch.cat((tokens, torch.tensor([[token]])), dim=1)
            for tokens, token in zip(context, (one, two), strict=True)
        ]
        expected[one, two] = begin[one, two] * pairs(*longer)
    return expected.reshape(-1)

"""Training: that it learns, goes on as if never interrupted, and is told nothing that it will have to foretell."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasters.kronos import load_kronos
from forecasters.kronos.features import standardise
from forecasters.kronos.sizes import SIZES
from forecasters.kronos.training.recipe import FRESH, Recipe, TrainingError
from tests.forecasters.kronos.training_bars import hourly, walk

torch = pytest.importorskip("torch", reason="training needs torch: pip install '.[models]'")

from forecasters.kronos.model import Network, NetworkConfig  # noqa: E402
from forecasters.kronos.tokenizer import Tokenizer, TokenizerConfig  # noqa: E402
from forecasters.kronos.training import losses, stage, train, windows  # noqa: E402
from forecasters.kronos.training.beginning import begin_tokenizer, can_begin  # noqa: E402
from forecasters.kronos.training.stage import Point  # noqa: E402
from forecasters.kronos.training.windows import TrainingSeries, training_series  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

QUICK = replace(
    FRESH,
    tokens=192,
    horizon=16,
    shortest_context=32,
    longest_context=64,
    steps=8,
    tokenizer_steps=4,
    validate_every=4,
    save_every=3,
)


def series(count: int = 600, seed: int = 0) -> TrainingSeries:
    return training_series(f"walk {seed}", walk(count, seed), hourly(count))


def bits(folder: Path) -> dict[str, bytes]:
    return {part: (folder / part / "model.safetensors").read_bytes() for part in ("tokenizer", "network")}


def stop_after(count: int):  # type: ignore[no-untyped-def]
    """True from the `count`-th time on that it is asked."""
    asked = iter(range(10**9))
    return lambda: next(asked) >= count


class TestLearning:
    def test_a_step_lowers_the_networks_loss_on_what_it_learned_from(self) -> None:
        network = Network(NetworkConfig(s1_bits=4, s2_bits=4, n_layers=1, d_model=16, n_heads=4, ff_dim=32))
        s1, s2 = torch.randint(16, (2, 4, 40), generator=torch.Generator().manual_seed(1))
        stamps = torch.zeros(4, 40, 5, dtype=torch.int64)
        optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2)
        before = losses.network_loss(network, s1, s2, stamps, context=30).total
        before.backward()
        optimiser.step()
        after = losses.network_loss(network, s1, s2, stamps, context=30).total
        assert after.item() < before.item()

    def test_a_step_lowers_the_tokenizers_loss_on_what_it_learned_from(self) -> None:
        torch.manual_seed(2)
        config = {name: int(SIZES["pico"].tokenizer[name]) for name in TokenizerConfig.__dataclass_fields__}
        tokenizer = Tokenizer(TokenizerConfig(**config))
        values = torch.from_numpy(standardise(walk(128)).values)[None]
        quantiser = losses.Quantiser.of(SIZES["pico"].tokenizer)
        optimiser = torch.optim.AdamW(tokenizer.parameters(), lr=1e-3)
        before = losses.tokenizer_loss(tokenizer, values, quantiser).total
        before.backward()
        optimiser.step()
        assert losses.tokenizer_loss(tokenizer, values, quantiser).total.item() < before.item()

    def test_a_training_lowers_the_loss_on_bars_that_it_never_learned_from(self, tmp_path: Path) -> None:
        recipe = replace(QUICK, tokens=512, steps=40, tokenizer_steps=20, validate_every=20)
        trained = train.train([series(3000)], recipe, tmp_path, begin=SIZES["pico"])
        for name in ("tokenizer", "network"):
            scores = [point.figures["validation score"] for point in trained.curve if point.stage == name]
            assert min(scores[1:]) < scores[0]

    def test_an_encoder_that_is_not_to_be_learned_stays_as_it_is(self, tmp_path: Path) -> None:
        train.train([series()], QUICK, tmp_path / "few", begin=SIZES["pico"])
        more = replace(QUICK, tokenizer_steps=12)
        train.train([series()], more, tmp_path / "more", begin=SIZES["pico"])
        bars = walk(200, seed=9)
        few, many = load_kronos(tmp_path / "few"), load_kronos(tmp_path / "more")
        assert all(np.array_equal(a, b) for a, b in zip(few.encode(bars), many.encode(bars), strict=True))


class TestGoingOn:
    def test_an_interrupted_training_ends_in_the_same_weights_to_the_last_bit(self, tmp_path: Path) -> None:
        whole = train.train([series()], QUICK, tmp_path / "whole", begin=SIZES["pico"])
        calls = 0
        while True:  # cut off again and again, in both stages, at steps that are saved and at such that are not
            trained = train.train([series()], QUICK, tmp_path / "cut", begin=SIZES["pico"], stop=stop_after(2))
            calls += 1
            if trained.finished:
                break
        assert calls > 5
        assert bits(tmp_path / "cut") == bits(tmp_path / "whole")
        assert trained.curve == whole.curve

    def test_one_that_was_killed_goes_on_from_the_last_saved_state(self, tmp_path: Path) -> None:
        def die(point: Point) -> None:
            if point.stage == "network" and point.step == 5:
                raise KeyboardInterrupt

        train.train([series()], QUICK, tmp_path / "whole", begin=SIZES["pico"])
        with pytest.raises(KeyboardInterrupt):
            train.train([series()], QUICK, tmp_path / "killed", begin=SIZES["pico"], observe=die)
        seen: list[Point] = []
        train.train([series()], QUICK, tmp_path / "killed", begin=SIZES["pico"], observe=seen.append)
        assert next(point.step for point in seen if point.stage == "network") == 4
        assert bits(tmp_path / "killed") == bits(tmp_path / "whole")

    def test_a_finished_training_is_not_done_again(self, tmp_path: Path) -> None:
        train.train([series()], QUICK, tmp_path, begin=SIZES["pico"])
        before, seen = bits(tmp_path), []  # type: ignore[var-annotated]
        assert train.train([series()], QUICK, tmp_path, begin=SIZES["pico"], observe=seen.append).finished
        assert not seen
        assert bits(tmp_path) == before

    def test_another_training_in_the_same_folder_is_refused_by_what_differs(self, tmp_path: Path) -> None:
        train.train([series()], QUICK, tmp_path, begin=SIZES["pico"])
        with pytest.raises(TrainingError, match="steps 8, not 9"):
            train.train([series()], replace(QUICK, steps=9), tmp_path, begin=SIZES["pico"])
        with pytest.raises(TrainingError, match="fingerprint"):
            train.train([series(seed=1)], QUICK, tmp_path, begin=SIZES["pico"])
        with pytest.raises(TrainingError, match="other weights"):
            train.train([series()], QUICK, tmp_path, begin="kronos-nano")

    def test_a_damaged_state_is_named(self, tmp_path: Path) -> None:
        train.train([series()], QUICK, tmp_path, begin=SIZES["pico"], stop=stop_after(2))
        (tmp_path / "training" / "tokenizer.safetensors").write_bytes(b"\x00" * 40)
        with pytest.raises(TrainingError, match="delete it to begin anew"):
            train.train([series()], QUICK, tmp_path, begin=SIZES["pico"])


@pytest.fixture(scope="module")
def folder(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train.train([series()], QUICK, tmp_path_factory.mktemp("written"), begin=SIZES["pico"]).folder


class TestTheFolder:
    def test_it_loads_and_draws(self, folder: Path) -> None:
        kronos = load_kronos(folder)
        paths = kronos.generate(walk(100), hourly(100), hourly(104)[100:], samples=5, seed=1)
        assert paths.shape == (5, 4, 6)
        assert np.isfinite(paths).all()
        assert kronos.max_context == 512

    def test_a_training_can_begin_from_it(self, folder: Path, tmp_path: Path) -> None:
        recipe = replace(QUICK, tokenizer_steps=0, steps=2)
        again = train.train([series(seed=4)], recipe, tmp_path, begin=str(folder))
        assert again.finished
        assert bits(tmp_path)["tokenizer"] == bits(folder)["tokenizer"]
        assert bits(tmp_path)["network"] != bits(folder)["network"]

    def test_what_does_not_fit_its_context_is_refused(self, folder: Path, tmp_path: Path) -> None:
        recipe = replace(QUICK, longest_context=500, horizon=16, tokens=1024)
        with pytest.raises(TrainingError, match="more than the 512"):
            train.train([series(2000)], recipe, tmp_path, begin=str(folder))


class TestNoLeak:
    @settings(max_examples=25, deadline=None)
    @given(context=st.integers(32, 60), later=st.floats(0.5, 2.0))
    def test_a_window_is_standardised_by_its_context_alone(self, context: int, later: float) -> None:
        bars = walk(80)
        changed = bars.copy()
        changed[context:] *= np.float32(later)
        before, after = windows.window(bars, context, 5.0)[0], windows.window(changed, context, 5.0)[0]
        assert np.array_equal(before[:context], after[:context])
        assert np.array_equal(before[:context], standardise(bars[:context], 5.0).values)

    def test_what_follows_a_windows_horizon_changes_nothing_of_it(self) -> None:
        bars = walk(200)
        changed = bars.copy()
        changed[100:] *= 3
        series_of = {name: training_series("x", values, hourly(200)) for name, values in (("a", bars), ("b", changed))}
        batches = {name: windows.Windows([each.part(0, 100)], QUICK).batch("s", 1) for name, each in series_of.items()}
        assert np.array_equal(batches["a"].values, batches["b"].values)

    def test_bars_below_a_cent_are_standardised_as_they_are_when_forecast(self) -> None:
        bars = walk(80, price=100.0) * np.array([1e-10] * 4 + [1.0, 1e-10], dtype=np.float32)
        inside, known = windows.window(bars, 60, 5.0)
        assert known.factor != 1.0
        assert np.allclose(known.restore(inside[60:])[:, :4], bars[60:, :4], rtol=1e-4)

    def test_the_kept_back_part_is_never_learned_from(self) -> None:
        whole = series(1000)
        learned, kept = windows.split([whole], replace(QUICK, validation_share=0.2))
        assert len(learned[0]) + len(kept[0]) == 1000
        assert np.array_equal(kept[0].bars, whole.bars[len(learned[0]) :])

    def test_no_row_sees_a_later_token(self) -> None:
        torch.manual_seed(3)
        network = Network(NetworkConfig(s1_bits=4, s2_bits=4, n_layers=2, d_model=16, n_heads=4, ff_dim=32))
        s1, s2 = torch.randint(16, (2, 1, 30))
        stamps = torch.zeros(1, 30, 5, dtype=torch.int64)
        rows = network.context(s1, s2, stamps)
        before = losses.teacher_forced(network, rows, s1)
        changed = s1.clone()
        changed[:, 20:] = (changed[:, 20:] + 1) % 16
        after = losses.teacher_forced(network, network.context(changed, s2, stamps), changed)
        assert torch.equal(before[:, :20], after[:, :20])

    def test_inside_the_context_nothing_counts_where_its_share_is_nothing(self) -> None:
        torch.manual_seed(4)
        network = Network(NetworkConfig(s1_bits=4, s2_bits=4, n_layers=1, d_model=16, n_heads=4, ff_dim=32))
        s1, s2 = torch.randint(16, (2, 2, 30))
        stamps = torch.zeros(2, 30, 5, dtype=torch.int64)
        rows = network.context(s1[:, :-1], s2[:, :-1], stamps[:, :-1])
        behind = torch.nn.functional.cross_entropy(
            network.head.proj_s1(rows[:, 19:]).flatten(0, 1), s1[:, 20:].flatten()
        )
        assert losses.network_loss(network, s1, s2, stamps, context=20).s1.item() == pytest.approx(behind.item())
        whole = losses.network_loss(network, s1, s2, stamps, context=20, context_share=1.0)
        everywhere = torch.nn.functional.cross_entropy(network.head.proj_s1(rows).flatten(0, 1), s1[:, 1:].flatten())
        assert whole.s1.item() == pytest.approx(everywhere.item())


class TestAsItServes:
    def test_s2_is_learned_as_it_will_be_drawn(self) -> None:
        """Row by row what the network that serves gives for the beginning up to there."""
        torch.manual_seed(5)
        network = Network(NetworkConfig(s1_bits=5, s2_bits=5, n_layers=2, d_model=32, n_heads=4, ff_dim=32))
        s1, s2 = torch.randint(32, (2, 2, 12))
        following = torch.randint(32, (2, 12))
        rows = network.context(s1, s2, torch.zeros(2, 12, 5, dtype=torch.int64))
        forced = losses.teacher_forced(network, rows, following)
        for end in range(1, 13):
            alone = network.s2_logits(rows[:, :end], following[:, end - 1])
            assert torch.allclose(forced[:, end - 1], alone, atol=1e-5)

    def test_the_code_that_a_training_begins_with_puts_bars_together_again(self) -> None:
        torch.manual_seed(6)
        config = {name: int(SIZES["nano"].tokenizer[name]) for name in TokenizerConfig.__dataclass_fields__}
        tokenizer = Tokenizer(TokenizerConfig(**config))
        assert can_begin(tokenizer)
        values = standardise(walk(4000)).values
        begin_tokenizer(tokenizer, values)
        inside = torch.from_numpy(values[:512])[None]
        with torch.no_grad():
            again = tokenizer.decode(*tokenizer.encode(inside))[0].numpy()
        error = np.abs(again - values[:512])[:, 3]
        assert np.quantile(error, 0.99) < 4.5 / 128 * 1.2  # half a cell of the close's level
        assert np.sqrt(((again - values[:512])[:, 1:3] ** 2).mean()) < 0.15  # high and low

    def test_it_is_left_alone_where_there_is_no_room_for_it(self) -> None:
        config = {name: int(SIZES["pico"].tokenizer[name]) for name in TokenizerConfig.__dataclass_fields__}
        assert not can_begin(Tokenizer(TokenizerConfig(**{**config, "ff_dim": 16})))
        assert not can_begin(Tokenizer(TokenizerConfig(**{**config, "n_enc_layers": 2})))
        assert not can_begin(Tokenizer(TokenizerConfig(**{**config, "s1_bits": 5, "s2_bits": 5})))

    def test_an_impossible_bar_costs_what_is_missing(self) -> None:
        draws = torch.Generator().manual_seed(1)
        order = losses.Order(weight=2.0, mean=torch.full((1, 6), 100.0), spread=torch.ones(1, 6), draws=draws)
        possible = torch.tensor([[[0.0, 1.0, -1.0, 0.5, 0.0, 0.0]]])
        low_high = torch.tensor([[[0.0, 0.2, -1.0, 0.5, 0.0, 0.0]]])
        assert order.cost(possible).item() == 0.0
        assert order.cost(low_high).item() == pytest.approx(0.6, abs=1e-4)

    def test_bars_as_a_network_draws_them_are_mixed_of_tokens_that_were_there(self) -> None:
        draws = torch.Generator().manual_seed(1)
        order = losses.Order(weight=1.0, mean=torch.zeros(2, 6), spread=torch.ones(2, 6), draws=draws)
        code = torch.arange(2.0 * 50).reshape(2, 50, 1).repeat(1, 1, 4)
        mixed = order.mixed(code, bits=2)
        coarse, fine = mixed[..., 0], mixed[..., 2]
        assert torch.equal(mixed[..., 1], coarse)
        assert torch.equal(mixed[..., 3], fine)
        moved = (coarse != code[..., 0]).float().mean().item()
        assert 0.15 < moved < 0.45
        assert 0.05 < (coarse != fine).float().mean().item() < 0.3

    def test_entropies_are_those_of_a_code_that_is_used_evenly(self) -> None:
        """All sixteen codes of four signs, far from zero: each bar's own entropy is small, that of all is four bits."""
        signs = losses._all_codes(4)
        far = losses._code_loss(signs / 2, signs / 2, losses.Quantiser(beta=0, gamma0=0, gamma=1, zeta=1, group_size=4))
        near = 2 * 0.5 * 0.5  # what speaks for the code's own sign, half of what speaks against the other
        kept = float(torch.sigmoid(torch.tensor(2 * near)))
        assert far.item() == pytest.approx(-4 * np.log(2), abs=1e-4)
        own = losses._code_loss(signs / 2, signs / 2, losses.Quantiser(beta=0, gamma0=1, gamma=0, zeta=1, group_size=4))
        assert own.item() == pytest.approx(-4 * (kept * np.log(kept) + (1 - kept) * np.log(1 - kept)), abs=1e-4)


class TestRates:
    @settings(max_examples=50, deadline=None)
    @given(steps=st.integers(1, 500))
    def test_the_rate_rises_then_falls_to_nothing(self, steps: int) -> None:
        rates = [stage.rate_at(step, steps, 1.0) for step in range(steps)]
        peak = int(np.argmax(rates))
        assert min(rates) > 0
        assert max(rates) <= 1.0
        assert all(b >= a for a, b in pairwise(rates[: peak + 1]))
        assert all(b <= a for a, b in pairwise(rates[peak:]))


class TestNonsense:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"horizon": 0}, "horizon is 0"),
            ({"steps": -1}, "steps is -1"),
            ({"validation_share": 1.0}, "between 0 and 1"),
            ({"longest_context": 8}, "at least 32 bars"),
            ({"tokens": 100}, "hold no window"),
        ],
    )
    def test_a_recipe_that_can_not_be_followed_is_refused(self, changes: dict[str, float], message: str) -> None:
        with pytest.raises(TrainingError, match=message):
            replace(Recipe(), **changes)  # type: ignore[arg-type]

    def test_too_few_bars_are_refused_with_how_many_there_must_be(self, tmp_path: Path) -> None:
        with pytest.raises(TrainingError, match="90 bars: to learn and to validate takes at least 96"):
            train.train([series(90)], QUICK, tmp_path, begin=SIZES["pico"])

    def test_bars_out_of_order_are_refused(self) -> None:
        with pytest.raises(TrainingError, match="in order of time"):
            training_series("x", walk(10), hourly(10)[::-1])
        with pytest.raises(TrainingError, match="10 bars but 9 times"):
            training_series("x", walk(10), hourly(9))

    def test_a_loss_that_is_not_finite_ends_it(self, tmp_path: Path) -> None:
        with pytest.raises(TrainingError, match="not finite"):
            train.train([series()], replace(QUICK, network_rate=1e38), tmp_path, begin=SIZES["pico"])

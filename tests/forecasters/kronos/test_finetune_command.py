"""`trader finetune`: from files, the store or generated markets to a folder that forecasts, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from forecasters.card import learned_to, write
from tests.forecasters.kronos.training_bars import hourly, walk
from trader.commands import finetune_bars
from trader.commands.finetune import command
from trader.core.types import Symbol, Timeframe
from trader.errors import ConfigurationError
from trader.exchange.market.files import Columns, load_bars
from trader.research.data.store import BarStore

pytest.importorskip("torch", reason="training needs torch: pip install '.[models]'")
pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = ["--size", "pico", "--steps", "3", "--tokenizer-steps", "2", "--tokens", "256", "--context", "48"]
SMALL += ["--horizon", "8"]


def write_csv(file: Path, count: int = 400) -> Path:
    names = "timestamp,open,high,low,close,volume"
    rows = [",".join([str(time) + "Z", *map(repr, bar[:5].tolist())]) for time, bar in zip(hourly(count), walk(count))]  # noqa: B905
    file.write_text("\n".join([names, *rows]) + "\n")
    return file


def finetune(*arguments: str) -> tuple[int, str]:
    found = CliRunner().invoke(command, arguments, standalone_mode=False)
    if found.exception is not None:
        raise found.exception
    return found.return_value or 0, found.output


class TestLearningFromBars:
    def test_a_file_becomes_a_checkpoint_with_a_picture_of_its_curves(self, tmp_path: Path) -> None:
        from forecasters.kronos import load_kronos

        file, out = write_csv(tmp_path / "bars.csv"), tmp_path / "out"
        code, said = finetune("--data", f"BTC/USD={file}", *SMALL, "--out", str(out))
        assert code == 0
        assert f"KRONOS_MODEL_ID={out}" in said
        assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
        newest = hourly(400)[-1].astype("datetime64[s]").astype(datetime).replace(tzinfo=UTC)
        assert learned_to(out) == {"BTC/USD": newest + timedelta(hours=1)}
        paths = load_kronos(out).generate(walk(60), hourly(60), hourly(64)[60:], samples=3)
        assert paths.shape == (3, 4, 6)

    def test_stored_bars_are_learned_from_by_their_symbol(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("STATE_DIR", str(tmp_path))
        columns, _, _ = load_bars(write_csv(tmp_path / "bars.csv"))
        BarStore(tmp_path / "bars").write(Symbol("BTC/USD"), Timeframe.parse("1Hour"), columns, source="a test")
        code, said = finetune("--symbols", "BTC/USD", "--timeframe", "1Hour", *SMALL)
        assert code == 0
        assert "400 bars of 1 series" in said
        assert (tmp_path / "models" / "kronos-pico" / "network" / "model.safetensors").is_file()

    def test_a_checkpoint_is_gone_on_from_at_the_published_rates(self, tmp_path: Path) -> None:
        first, second = tmp_path / "first", tmp_path / "second"
        finetune("--generated", "1", "--markets", "1", "--bars", "300", *SMALL, "--out", str(first))
        onward = ["--steps", "2", "--tokenizer-steps", "0", "--context", "48", "--horizon", "8", "--tokens", "256"]
        finetune(
            "--generated",
            "2",
            "--markets",
            "1",
            "--bars",
            "300",
            "--checkpoint",
            str(first),
            *onward,
            "--out",
            str(second),
        )
        recipe = json.loads((second / "training" / "recipe.json").read_text())
        assert recipe["begin"] == str(first)
        assert recipe["recipe"]["network_rate"] == 4e-5
        assert (learned_to(first), learned_to(second)) == ({}, {}), "generated markets are nobody's"
        weights = [(folder / "tokenizer" / "model.safetensors").read_bytes() for folder in (first, second)]
        assert weights[0] == weights[1]

    def test_bars_after_the_end_are_not_learned_and_the_card_says_until_when(self, tmp_path: Path) -> None:
        file, out, times = write_csv(tmp_path / "bars.csv"), tmp_path / "out", hourly(400)
        first, last = (f"{times[place].astype('datetime64[s]')}Z" for place in (50, 300))
        code, said = finetune("--data", f"BTC/USD={file}", *SMALL, "--from", first, "--to", last, "--out", str(out))
        assert code == 0
        assert "250 bars of 1 series" in said
        assert learned_to(out) == {"BTC/USD": datetime.fromisoformat(last)}
        with pytest.raises(ConfigurationError, match="no bars between --from and --to"):
            finetune("--data", f"BTC/USD={file}", *SMALL, "--to", "1999-01-01", "--out", str(tmp_path / "none"))

    def test_what_the_weights_that_it_began_from_had_learned_stays_learned(self, tmp_path: Path) -> None:
        first, second = tmp_path / "first", tmp_path / "second"
        finetune("--generated", "1", "--markets", "1", "--bars", "300", *SMALL, "--out", str(first))
        write(first, {"ETH/USD": datetime(2030, 1, 1, tzinfo=UTC), "*": None}, {})
        file = write_csv(tmp_path / "bars.csv")
        onward = ["--steps", "1", "--tokenizer-steps", "0", "--context", "48", "--horizon", "8", "--tokens", "256"]
        finetune("--data", f"BTC/USD={file}", "--checkpoint", str(first), *onward, "--out", str(second))
        found = learned_to(second)
        assert found["ETH/USD"] == datetime(2030, 1, 1, tzinfo=UTC)
        assert found["BTC/USD"] is not None
        assert found["*"] is None

    def test_epochs_are_counted_in_bars(self, tmp_path: Path) -> None:
        options = ["--size", "pico", "--tokenizer-steps", "1", "--tokens", "256", "--context", "48", "--horizon", "8"]
        finetune(
            "--generated", "1", "--markets", "1", "--bars", "512", *options, "--epochs", "2", "--out", str(tmp_path)
        )
        assert json.loads((tmp_path / "training" / "recipe.json").read_text())["recipe"]["steps"] == 4


class TestInterrupted:
    def test_ctrl_c_ends_it_after_a_step_and_the_same_command_goes_on(self, tmp_path: Path) -> None:
        options = [*SMALL, "--generated", "1", "--markets", "1", "--bars", "300", "--out", str(tmp_path)]
        options[options.index("--steps") + 1] = "60"
        whole = [sys.executable, "-m", "trader", "finetune", *options]
        one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
        with subprocess.Popen(whole, stdout=subprocess.PIPE, text=True, env=one_thread) as running:
            assert running.stdout is not None
            for line in running.stdout:
                if line.startswith("network 0/60"):
                    running.send_signal(signal.SIGINT)
                    break
            rest = running.stdout.read()
        assert running.returncode == 130
        assert "the same command goes on" in rest
        assert not (tmp_path / "network").exists()
        code, said = finetune(*options)
        assert code == 0
        assert "network 60/60" in said
        assert "network 0/60" not in said


class TestGeneratedMarkets:
    def test_the_same_seed_gives_the_same_bars_and_another_seed_others(self) -> None:
        first, again, other = (finetune_bars.generated(seed, 3, 200) for seed in (1, 1, 2))
        assert all(np.array_equal(a.bars, b.bars) for a, b in zip(first, again, strict=True))
        assert not any(np.array_equal(a.bars, b.bars) for a, b in zip(first, other, strict=True))
        assert [len(each) for each in first] == [200, 200, 200]

    def test_they_are_possible_bars_with_an_amount(self) -> None:
        for each in finetune_bars.generated(3, 4, 300):
            opened, high, low, closed, volume, amount = each.bars.T
            assert (high >= np.maximum(opened, closed)).all()
            assert (low <= np.minimum(opened, closed)).all()
            assert np.allclose(amount, volume * each.bars[:, :4].mean(axis=1), rtol=1e-3)

    def test_a_series_takes_its_amount_from_the_mean_price(self) -> None:
        columns = Columns(
            times=hourly(2).astype(np.int64),
            open=np.array([1.0, 2.0]),
            high=np.array([2.0, 4.0]),
            low=np.array([1.0, 2.0]),
            close=np.array([2.0, 4.0]),
            volume=np.array([10.0, 1.0]),
        )
        assert finetune_bars.series_of("x", columns).bars[:, 5].tolist() == [15.0, 3.0]


class TestNonsense:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([], "nothing to learn from"),
            (["--data", "BTC/USD"], "write SYMBOL=FILE"),
            (["--data", "BTC/USD=nowhere.csv"], "nowhere.csv"),
            (["--symbols", "B?T"], "not a symbol"),
            (["--generated", "1", "--bars", "40", "--markets", "1"], "40 bars: to learn and to validate"),
            (
                ["--generated", "1", "--bars", "400", "--markets", "1", "--size", "huge"],
                "'huge', not one of tiny, pico, nano",
            ),
            (["--generated", "1", "--bars", "400", "--markets", "1", "--steps", "0"], "random weights"),
            (["--generated", "1", "--bars", "400", "--markets", "1", "--steps", "5", "--epochs", "2"], "not both"),
            (["--generated", "1", "--bars", "400", "--markets", "1", "--context", "600"], "raise it|more than"),
            (["--generated", "1", "--bars", "400", "--markets", "1", "--checkpoint", "./nowhere"], "no folder nowhere"),
            (
                ["--generated", "1", "--from", "NeoQuasar/Kronos-mini"],
                "weights to go on from are named by --checkpoint",
            ),
        ],
    )
    def test_what_can_not_be_done_is_refused_with_what_would_do(
        self, arguments: list[str], message: str, tmp_path: Path
    ) -> None:
        with pytest.raises(ConfigurationError, match=message):
            finetune(*arguments, "--out", str(tmp_path / "out"))
        assert not (tmp_path / "out").exists()

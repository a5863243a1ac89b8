"""A checkpoint is taken as it was published, or refused with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from forecasters.base import InvalidContext
from forecasters.kronos.files import CheckpointError
from tests.forecasters.toto.checkpoints import walk

torch = pytest.importorskip("torch", reason="torch is not installed: pip install the extra `models`")

from huggingface_hub import constants  # noqa: E402 - after the skip
from safetensors.torch import load_file, save_file  # noqa: E402

from forecasters.toto import load_toto  # noqa: E402
from forecasters.toto.checkpoint import SIZES, make_checkpoint  # noqa: E402
from forecasters.toto.hub import PUBLISHED, Located, is_folder, lacking, locate  # noqa: E402
from forecasters.toto.model import WrongGeneration  # noqa: E402

SECOND, FIRST = "tiny", "tiny-1.0"


def rewrite(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def in_shards(whole: Path, folder: Path) -> Path:
    """The same tensors in two files and their index."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text((whole / "config.json").read_text())
    tensors = load_file(whole / "model.safetensors")
    names = sorted(tensors)
    places = {name: f"model-0000{1 + index % 2}-of-00002.safetensors" for index, name in enumerate(names)}
    for place in set(places.values()):
        save_file({name: tensors[name] for name in names if places[name] == place}, folder / place)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    return folder


@pytest.mark.parametrize("size", [FIRST, SECOND])
def test_a_made_checkpoint_is_the_same_again_for_the_same_seed(size: str, tmp_path: Path) -> None:
    one, same, other = (
        load_file(make_checkpoint(size, tmp_path / str(number), seed) / "model.safetensors")
        for number, seed in enumerate((3, 3, 4))
    )
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("size", "parameters"), [("4m", 4_144_448), ("22m", 21_915_584), ("base-1.0", 151_306_080)])
def test_the_sizes_are_those_of_the_published_models(size: str, parameters: int) -> None:
    from math import prod

    from forecasters.toto.config import first_config, is_first, second_config
    from forecasters.toto.toto1 import names as names1
    from forecasters.toto.toto2 import names as names2

    config = SIZES[size]
    shapes = (
        names1.tensor_shapes(first_config(config)) if is_first(config) else names2.tensor_shapes(second_config(config))
    )
    learned = {name: shape for name, shape in shapes.items() if not name.endswith("_tau")}
    assert sum(prod(shape) for shape in learned.values()) == parameters


def test_a_folder_that_holds_a_checkpoint_is_not_overwritten(tmp_path: Path) -> None:
    make_checkpoint(SECOND, tmp_path)
    with pytest.raises(CheckpointError, match="already holds"):
        make_checkpoint(SECOND, tmp_path)


def test_an_unknown_size_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="tiny"):
        make_checkpoint("huge", tmp_path)


def test_a_checkpoint_in_shards_is_read_by_its_index(tmp_path: Path) -> None:
    whole = make_checkpoint(SECOND, tmp_path / "whole")
    sharded = in_shards(whole, tmp_path / "sharded")
    series, mask = walk(2, 64)
    one, other = (load_toto(folder).quantiles(series, mask, 8) for folder in (whole, sharded))
    assert np.array_equal(one, other)
    next(sharded.glob("model-*.safetensors")).unlink()
    with pytest.raises(CheckpointError, match="which its index names"):
        load_toto(sharded)


def test_fused_layers_and_rotary_tables_of_the_first_generation_are_understood(tmp_path: Path) -> None:
    plain = make_checkpoint(FIRST, tmp_path / "plain")
    tensors = load_file(plain / "model.safetensors")
    fused = {
        name.replace("mlp.0.", "mlp.0.w12.").replace("mlp.2.", "mlp.0.w3."): tensor for name, tensor in tensors.items()
    }
    fused["model.transformer.rotary_emb.freqs"] = torch.ones(8)
    other = tmp_path / "fused"
    other.mkdir()
    save_file(fused, other / "model.safetensors")
    (other / "config.json").write_text((plain / "config.json").read_text())
    series, mask = walk(2, 128)
    assert np.array_equal(load_toto(plain).mean(series, mask, 8), load_toto(other).mean(series, mask, 8))


@pytest.mark.parametrize("size", [FIRST, SECOND])
def test_a_truncated_file_is_refused(size: str, tmp_path: Path) -> None:
    folder = make_checkpoint(size, tmp_path)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="incomplete or damaged"):
        load_toto(folder)


def with_another_tensor(folder: Path) -> dict[str, torch.Tensor]:
    tensors = load_file(folder / "model.safetensors") | {"model.adapter.weight": torch.ones(2)}
    save_file(tensors, folder / "model.safetensors")
    return tensors


@pytest.mark.parametrize("size", [FIRST, SECOND])
def test_missing_tensors_are_named(size: str, tmp_path: Path) -> None:
    folder = make_checkpoint(size, tmp_path)
    tensors = with_another_tensor(folder)
    lost = sorted(tensors)[-1]
    del tensors[lost]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=rf"lacks {lost}"):
        load_toto(folder)


def test_unexpected_tensors_of_the_second_generation_are_refused(tmp_path: Path) -> None:
    folder = make_checkpoint(SECOND, tmp_path)
    with_another_tensor(folder)
    with pytest.raises(CheckpointError, match=r"has no use for model\.adapter\.weight"):
        load_toto(folder)


def test_those_of_the_first_are_left_out_as_the_original_does_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    series, mask = walk(2, 128)
    folder = make_checkpoint(FIRST, tmp_path)
    before = load_toto(folder).mean(series, mask, 8)
    with_another_tensor(folder)
    assert np.array_equal(load_toto(folder).mean(series, mask, 8), before)
    assert "Toto 1.0 has no use for model.adapter.weight in the checkpoint: left out" in caplog.text


def test_a_config_of_another_size_is_refused(tmp_path: Path) -> None:
    folder = make_checkpoint(SECOND, tmp_path)
    rewrite(folder, d_ff=128)
    with pytest.raises(CheckpointError, match="another shape"):
        load_toto(folder)


def test_weights_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    folder = make_checkpoint(SECOND, tmp_path)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to("/proc/self/mem")  # not readable for root either
    with pytest.raises(CheckpointError, match="can't be read"):
        locate(str(folder))


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    folder = make_checkpoint(SECOND, tmp_path)
    tensors = load_file(folder / "model.safetensors")
    tensors["patch_proj.linear1.weight"][0, 0] = torch.nan
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="NaN"):
        load_toto(folder)


@pytest.mark.parametrize(
    ("size", "change", "reason"),
    [
        (FIRST, {"stride": 32}, "overlap"),
        (FIRST, {"scaler_cls": "<class 'model.scaler.StdMeanScaler'>"}, "another scaler"),
        (FIRST, {"output_distribution_kwargs": None}, "output_distribution_kwargs"),
        (SECOND, {"num_output_patches": 2}, "several patches"),
        (SECOND, {"num_heads": "four"}, "num_heads"),
        (SECOND, {"attn_bias": 1}, "attn_bias"),
        (SECOND, {"num_layers": 4_000_000}, "num_layers is 4000000, not a whole number from 1"),
    ],
)
def test_a_config_that_is_not_supported_is_refused(
    size: str, change: dict[str, object], reason: str, tmp_path: Path
) -> None:
    folder = make_checkpoint(size, tmp_path)
    rewrite(folder, **change)
    with pytest.raises(CheckpointError, match=reason):
        load_toto(folder)


def test_a_model_of_another_family_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json"):
        load_toto(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["Llama"], "hidden_size": 64}))
    with pytest.raises(CheckpointError, match="not the config of a Toto"):
        load_toto(tmp_path)
    (tmp_path / "config.json").write_text("[1")
    with pytest.raises(CheckpointError, match="can't be read"):
        load_toto(tmp_path)


def test_each_generation_refuses_what_the_other_gives(tmp_path: Path) -> None:
    series, mask = walk(1, 64)
    first, second = (load_toto(make_checkpoint(size, tmp_path / size)) for size in (FIRST, SECOND))
    with pytest.raises(WrongGeneration, match=r"Toto 1\.0"):
        first.quantiles(series, mask, 1)
    with pytest.raises(WrongGeneration, match=r"Toto 2\.0"):
        second.mean(series, mask, 1)
    with pytest.raises(WrongGeneration, match=r"Toto 2\.0"):
        second.sample(series, mask, 1, samples=2, seed=0)


def test_impossible_questions_are_refused(tmp_path: Path) -> None:
    toto = load_toto(make_checkpoint(SECOND, tmp_path))
    series, mask = walk(2, 64)
    for wrong_series, wrong_mask, horizon in (
        (series[0], mask[0], 5),
        (series, mask[:1], 5),
        (series, mask.astype(np.float32), 5),
        (series.astype(np.int64), mask, 5),
        (np.where(series > 0, np.nan, series), mask, 5),
        (series, mask, 0),
        (series[:, :0], mask[:, :0], 5),
    ):
        with pytest.raises(InvalidContext):
            toto.quantiles(wrong_series, wrong_mask, horizon)
    with pytest.raises(InvalidContext, match="groups"):
        toto.quantiles(series, mask, 5, groups=[0])


@pytest.mark.parametrize(
    ("model_id", "certain"),
    [
        ("Datadog/Toto-2.0-22m", True),
        ("Datadog/Toto-2.0-22m@main", False),
        ("Datadog/Toto-3.0", False),
        (f"Datadog/Toto-2.0-22m@{'0a' * 20}", True),
        ("/srv/toto", True),
    ],
)
def test_a_published_model_without_its_commit_is_said_to_be_a_moving_one(model_id: str, certain: bool) -> None:
    from forecasters.backends import toto

    said = [note for note in toto.notes(toto.Options(model_id=model_id)) if "commit" in note]
    assert said == [] if certain else "pin it" in said[0]


@pytest.mark.parametrize("model_id", sorted(PUBLISHED))
def test_a_published_model_is_found_by_its_pinned_commit(
    model_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    commit = PUBLISHED[model_id]
    home = tmp_path / f"models--{model_id.replace('/', '--')}"
    make_checkpoint(SECOND, home / "snapshots" / ("c" * 40))
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("c" * 40)
    assert lacking(model_id) is not None  # another commit is not taken for it
    make_checkpoint(SECOND, home / "snapshots" / commit)
    assert lacking(model_id) is None
    assert locate(model_id) == Located(folder=home / "snapshots" / commit, label=f"{model_id}@{commit[:12]}")
    assert locate(f"{model_id}@main").label == f"{model_id}@{'c' * 12}"


@pytest.mark.parametrize("lost", ["model-00002-of-00002.safetensors", "model.safetensors.index.json"])
def test_a_download_that_was_cut_off_is_not_taken_for_the_model(
    lost: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    model_id = "Datadog/Toto-2.0-2.5B"
    folder = tmp_path / f"models--{model_id.replace('/', '--')}" / "snapshots" / PUBLISHED[model_id]
    in_shards(make_checkpoint(SECOND, tmp_path / "whole"), folder)
    assert lacking(model_id) is None
    (folder / lost).unlink()
    assert "not in the hub's cache" in str(lacking(model_id))


def test_a_folder_of_its_name_here_does_not_come_in_place_of_a_published_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Datadog/Toto-2.0-22m").mkdir(parents=True)
    (tmp_path / "mine/own").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert not is_folder("Datadog/Toto-2.0-22m")
    assert is_folder("./Datadog/Toto-2.0-22m")
    assert is_folder("mine/own")


def test_a_checkpoint_that_others_may_change_is_not_read(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "config.json").chmod(0o666)
    with pytest.raises(CheckpointError, match=f"right: chmod go-w {tmp_path}/config.json"):
        locate(str(tmp_path))
    assert lacking(str(tmp_path)) is not None

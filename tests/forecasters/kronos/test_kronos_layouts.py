"""Checkpoints as people have them: each layout loads as one model, and what does not is refused with advice."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.forecasters.kronos.checkpoints import make_seeded
from tests.forecasters.support import bars, hours

pytest.importorskip("torch", reason="Kronos needs torch: pip install '.[models]'")
constants = pytest.importorskip("huggingface_hub.constants", reason="Kronos needs huggingface_hub")

from safetensors.numpy import load_file, save_file  # noqa: E402

from forecasters import registry  # noqa: E402
from forecasters.kronos import CheckpointError, load_kronos  # noqa: E402
from forecasters.kronos.generate import Kronos  # noqa: E402
from forecasters.kronos.hub import TOKENIZERS, absent, lacking, locate  # noqa: E402
from forecasters.kronos.weights import load  # noqa: E402
from settings.models import Kronos as KronosSettings  # noqa: E402

COMMIT, OTHER_COMMIT = "1f" * 20, "2e" * 20
BASE, BASE_COMMIT = next(iter(TOKENIZERS.items()))
LAYOUTS = {
    "ours": ("network", "tokenizer"),
    "fine-tuned on a table": ("basemodel/best_model", "tokenizer/best_model"),
    "fine-tuned on qlib": (
        "finetune_predictor_demo/checkpoints/best_model",
        "finetune_tokenizer_demo/checkpoints/best_model",
    ),
}


@pytest.fixture(scope="session")
def seeded(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_seeded(tmp_path_factory.mktemp("layouts") / "seeded", 40)


@pytest.fixture(scope="session")
def wanted(seeded: Path) -> np.ndarray:
    return drawn(load_kronos(seeded))


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and no network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def drawn(kronos: Kronos) -> np.ndarray:
    times = hours(44)
    return kronos.generate(bars(40), times[:40], times[40:], samples=3)


def laid_out(seeded: Path, root: Path, layout: str) -> Path:
    for part, place in zip(("network", "tokenizer"), LAYOUTS[layout], strict=True):
        shutil.copytree(seeded / part, root / place)
    return root


def in_the_hub(hub: Path, name: str, commit: str, folder: Path) -> None:
    home = hub / f"models--{name.replace('/', '--')}"
    shutil.copytree(folder, home / "snapshots" / commit)


def in_shards(folder: Path, shards: int = 3) -> None:
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    places = {name: f"model-{1 + n % shards:05}-of-{shards:05}.safetensors" for n, name in enumerate(names)}
    for place in set(places.values()):
        save_file({name: tensors[name] for name in names if places[name] == place}, folder / place)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    (folder / "model.safetensors").unlink()


def renamed(folder: Path, change: Callable[[str], str]) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file({change(name): value for name, value in tensors.items()}, folder / "model.safetensors")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_pair_is_found_in_each_layout(layout: str, seeded: Path, wanted: np.ndarray, tmp_path: Path) -> None:
    folder = laid_out(seeded, tmp_path / "mine", layout)
    assert lacking(str(folder)) is None
    found = locate(str(folder))
    assert np.array_equal(drawn(Kronos(load(found))), wanted)
    assert re.fullmatch(r"mine@[0-9a-f]{12}", found.label)
    assert np.array_equal(drawn(load_kronos(folder)), wanted)


@pytest.mark.parametrize("given", ["basemodel/best_model", "basemodel", ""])
@pytest.mark.parametrize("tokenizer", ["elsewhere", "elsewhere/tokenizer", "elsewhere/tokenizer/best_model"])
def test_a_network_alone_takes_the_tokenizer_that_is_named(
    given: str, tokenizer: str, seeded: Path, wanted: np.ndarray, tmp_path: Path
) -> None:
    shutil.copytree(seeded / "network", tmp_path / "mine/basemodel/best_model" if given else tmp_path / "mine")
    shutil.copytree(seeded / "tokenizer", tmp_path / "elsewhere/tokenizer/best_model")
    model, other = str(tmp_path / "mine" / given), str(tmp_path / tokenizer)
    assert lacking(model, other) is None
    found = locate(model, other)
    assert np.array_equal(drawn(Kronos(load(found))), wanted)
    assert re.fullmatch(r"(best_model|basemodel|mine)@[0-9a-f]{12}\+best_model@[0-9a-f]{12}", found.label)


def test_the_settings_name_both_and_the_backend_serves_them(seeded: Path, tmp_path: Path) -> None:
    shutil.copytree(seeded / "network", tmp_path / "mine")
    model, tokenizer = str(tmp_path / "mine"), str(seeded / "tokenizer")
    settings = KronosSettings(model_id=model, tokenizer_id=tokenizer, sample_count=4)
    registry.build("kronos", settings.model_dump(mode="json")).warm_up()
    described = registry.describe("kronos", {"model_id": model, "tokenizer_id": tokenizer})
    assert described.checkpoint is not None
    assert [file.parent for file in described.checkpoint.files[::2]] == [tmp_path / "mine", seeded / "tokenizer"]


def test_a_tokenizer_that_is_named_comes_before_the_one_beside_it(seeded: Path, tmp_path: Path) -> None:
    other = make_seeded(tmp_path / "other", 50)
    assert locate(str(seeded), str(other)).tokenizer == other / "tokenizer"


@pytest.mark.parametrize(
    ("tokenizer", "label"),
    [
        ("", f"someone/Kronos-x@{COMMIT}+tokenizer@"),
        (BASE, f"someone/Kronos-x@{COMMIT}+{BASE}@{BASE_COMMIT}"),
        (f"someone/tokens@{OTHER_COMMIT}", f"someone/Kronos-x@{COMMIT}+someone/tokens@{OTHER_COMMIT}"),
    ],
)
def test_any_model_of_the_hub_is_taken_by_its_commit(
    tokenizer: str, label: str, hub: Path, seeded: Path, wanted: np.ndarray
) -> None:
    name, _, commit = (tokenizer or BASE).partition("@")
    in_the_hub(hub, "someone/Kronos-x", COMMIT, seeded / "network")
    in_the_hub(hub, name, commit or BASE_COMMIT, seeded / "tokenizer")
    found = locate(f"someone/Kronos-x@{COMMIT}", tokenizer or str(seeded / "tokenizer"))
    assert np.array_equal(drawn(Kronos(load(found))), wanted)
    assert found.label.startswith(label)


def test_what_is_not_here_is_to_be_fetched_the_tokenizer_too(
    hub: Path, seeded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = f"someone/Kronos-x@{COMMIT}"
    in_the_hub(hub, "someone/Kronos-x", COMMIT, seeded / "network")
    assert f"{BASE} is not in the hub's cache" in str(lacking(model, BASE))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert lacking(model, BASE) is None
    assert absent(model, BASE)
    assert absent(str(seeded), BASE)
    assert not absent(model, str(seeded))


@pytest.mark.parametrize("part", ["network", "tokenizer"])
def test_shards_are_read_by_their_index(part: str, seeded: Path, wanted: np.ndarray, tmp_path: Path) -> None:
    folder = shutil.copytree(seeded, tmp_path / "sharded")
    in_shards(folder / part)
    found = locate(str(folder))
    assert np.array_equal(drawn(Kronos(load(found))), wanted)
    shard = folder / part / "model-00002-of-00003.safetensors"
    one = load_file(shard)
    save_file({name: value + 1 for name, value in one.items()}, shard)
    assert locate(str(folder)).label != found.label
    shard.unlink()
    with pytest.raises(CheckpointError, match=r"lacks model-00002-of-00003\.safetensors, which its index names"):
        load_kronos(folder)


@pytest.mark.parametrize("place", ["../network/model.safetensors", "/etc/hostname", 3])
def test_an_index_names_files_of_its_own_folder(place: object, seeded: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(seeded, tmp_path / "sharded")
    for index, said in (({"weight_map": {"norm.weight": place}}, "outside its folder"), ({}, "is not an index")):
        (folder / "network/model.safetensors.index.json").write_text(json.dumps(index))
        with pytest.raises(CheckpointError, match=said):
            load_kronos(folder)


def test_shards_of_the_hub_are_there_when_all_of_them_are(hub: Path, seeded: Path, tmp_path: Path) -> None:
    network = shutil.copytree(seeded / "network", tmp_path / "network")
    in_shards(network)
    in_the_hub(hub, "someone/Kronos-x", COMMIT, network)
    model = f"someone/Kronos-x@{COMMIT}"
    assert lacking(model, str(seeded)) is None
    next((hub / "models--someone--Kronos-x/snapshots" / COMMIT).glob("model-*")).unlink()
    assert "is not in the hub's cache" in str(lacking(model, str(seeded)))


@pytest.mark.parametrize("wrappers", ["module.", "_orig_mod.", "_orig_mod.module."])
def test_names_of_a_model_that_was_wrapped_are_its_own(
    wrappers: str, seeded: Path, wanted: np.ndarray, tmp_path: Path
) -> None:
    folder = shutil.copytree(seeded, tmp_path / "wrapped")
    for part in ("network", "tokenizer"):
        renamed(folder / part, lambda name: wrappers + name)
    assert np.array_equal(drawn(load_kronos(folder)), wanted)


def test_one_wrapped_name_among_others_is_a_stranger(seeded: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(seeded, tmp_path / "mixed")
    renamed(folder / "network", lambda name: f"module.{name}" if name == "norm.weight" else name)
    with pytest.raises(CheckpointError, match=r"lacks norm\.weight.*has besides module\.norm\.weight"):
        load_kronos(folder)


# ---- refusals: which folder, and what to do ----


def refusal(model: object, tokenizer: object = "") -> str:
    told = lacking(str(model), str(tokenizer))
    with pytest.raises(CheckpointError) as error:
        locate(str(model), str(tokenizer))
    assert error.value.reason == told
    return str(told)


def test_a_folder_without_a_checkpoint_is_told_with_what_it_holds_and_what_would_do(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "notes.txt").touch()
    told = refusal(tmp_path)
    assert f"there is no Kronos checkpoint in {tmp_path}, which holds" in told
    assert "logs/" in told
    for places in LAYOUTS.values():
        assert " and ".join(places) in told


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_pair_of_which_one_is_missing_is_told_which(layout: str, seeded: Path, tmp_path: Path) -> None:
    network, tokenizer = LAYOUTS[layout]
    folder = laid_out(seeded, tmp_path / "mine", layout)
    shutil.move(folder / network, tmp_path / "moved")
    told = refusal(folder)
    assert f"there is a tokenizer in {folder / tokenizer}, and no network in {folder / network}" in told
    shutil.move(tmp_path / "moved", folder / network)
    shutil.rmtree(folder / tokenizer)
    assert "is a network alone: set KRONOS_TOKENIZER_ID" in refusal(folder)
    assert lacking(str(folder), str(seeded)) is None


def test_a_config_that_is_missing_is_told_by_its_name(seeded: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(seeded, tmp_path / "mine")
    (folder / "tokenizer/config.json").unlink()
    with pytest.raises(CheckpointError, match=f"there is no {folder}/tokenizer/config.json: copy"):
        load_kronos(folder)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_network_of_a_pair_is_told_where_the_pair_is(layout: str, seeded: Path, tmp_path: Path) -> None:
    folder = laid_out(seeded, tmp_path / "mine", layout)
    assert refusal(folder / LAYOUTS[layout][0]).endswith(f"its tokenizer is beside it, so give {folder}")


def test_a_network_alone_is_told_which_tokenizers_there_are(seeded: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(seeded / "network", tmp_path / "mine")
    assert f"{folder} is a network alone: set KRONOS_TOKENIZER_ID to NeoQuasar/Kronos-Tokenizer-2k" in refusal(folder)
    assert "needs its tokenizer: set KRONOS_TOKENIZER_ID" in refusal(f"someone/Kronos-x@{COMMIT}")


def test_a_tokenizer_is_no_model_and_a_model_no_tokenizer(seeded: Path) -> None:
    assert "is a tokenizer: that is KRONOS_TOKENIZER_ID" in refusal(seeded / "tokenizer")
    told = refusal(seeded / "network", seeded / "network")
    assert f"there is no Kronos tokenizer in {seeded}/network" in told
    assert "there is no folder" in refusal(seeded, seeded / "nowhere")


def test_the_shipped_one_has_its_own_tokenizer(seeded: Path) -> None:
    assert "kronos-nano has its own tokenizer" in refusal("kronos-nano", seeded / "tokenizer")


@pytest.mark.parametrize("revision", ["", "@main", "@v1", f"@{COMMIT[:7]}"])
def test_a_model_of_the_hub_without_its_commit_is_refused_and_how_to_name_it_is_said(revision: str) -> None:
    told = refusal(f"someone/x{revision}", BASE)
    assert "KRONOS_MODEL_ID=someone/x@ and the 40 digits at https://huggingface.co/someone/x/commits/main" in told
    told = refusal(f"someone/x@{COMMIT}", f"someone/tokens{revision}")
    assert "KRONOS_TOKENIZER_ID=someone/tokens@ and the 40 digits" in told


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("NeoQuasar/Kronos-smal", "NeoQuasar/Kronos-small"),
        ("neoquasar/kronos-Mini", "NeoQuasar/Kronos-mini"),
        ("kronos-bas", "NeoQuasar/Kronos-base"),
        ("kronos_nano", "kronos-nano"),
        ("Kronos-small", "NeoQuasar/Kronos-small"),
    ],
)
def test_a_name_that_is_nearly_one_is_told_which(given: str, meant: str) -> None:
    assert f"did you mean {meant}?" in refusal(given)


def test_so_is_a_folder_that_is_nearly_called_so(seeded: Path) -> None:
    assert f"there is no folder {seeded}ed, did you mean {seeded}?" in refusal(f"{seeded}ed")
    assert "is a file: give the folder that it lies in" in refusal(seeded / "network/model.safetensors")


@pytest.mark.parametrize("parts", [("network",), ("tokenizer",)])
def test_what_others_may_change_is_not_read_in_any_layout(parts: Sequence[str], seeded: Path, tmp_path: Path) -> None:
    folder = laid_out(seeded, tmp_path / "mine", "fine-tuned on a table")
    for part, place in zip(("network", "tokenizer"), LAYOUTS["fine-tuned on a table"], strict=True):
        if part in parts:
            (folder / place / "model.safetensors").chmod(0o666)
    assert "right: chmod go-w" in refusal(folder)

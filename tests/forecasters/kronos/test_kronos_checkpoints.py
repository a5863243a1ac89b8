"""A checkpoint is loaded as it was saved, or refused in a line that says what to do."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from tests.forecasters.kronos.checkpoints import make_golden, save
from tests.forecasters.support import bars, hours
from tests.golden.rebuild import golden_config, weights

pytest.importorskip("torch", reason="Kronos needs torch: pip install '.[models]'")
constants = pytest.importorskip("huggingface_hub.constants", reason="Kronos needs huggingface_hub")

from forecasters.kronos import CheckpointError, load_kronos  # noqa: E402
from forecasters.kronos.hub import PUBLISHED, is_folder, lacking, locate  # noqa: E402
from forecasters.kronos.weights import load  # noqa: E402
from forecasters.registry import describe  # noqa: E402


@pytest.fixture
def copy(folders: dict[str, Path], tmp_path: Path) -> Path:
    return shutil.copytree(folders["tiny"], tmp_path / "copy")


def edit(file: Path, **changes: object) -> None:
    config = json.loads(file.read_text())
    file.write_text(json.dumps({key: value for key, value in {**config, **changes}.items() if value is not None}))


def test_importing_the_package_and_asking_what_is_missing_need_no_torch() -> None:
    program = (
        "import sys; from forecasters.kronos import load_kronos; from forecasters.backends.kronos import requires\n"
        "requires(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_fixed_buffers_of_the_published_files_may_be_there_or_not(folders: dict[str, Path], tmp_path: Path) -> None:
    without = load_kronos(make_golden(tmp_path / "tiny", "tiny", buffers=False))
    with_them = load_kronos(folders["tiny"])
    assert np.array_equal(without.encode(bars(30)), with_them.encode(bars(30)))


def test_the_label_changes_with_the_weights(folders: dict[str, Path], copy: Path) -> None:
    one = load_kronos(copy).label
    config = golden_config("tiny")["network"]
    save(copy / "network", config, weights("network", config, seed=77))
    assert one.startswith("copy@")
    assert load_kronos(copy).label != one


def test_weights_that_cannot_be_read_are_refused_whoever_asks(copy: Path) -> None:
    file = copy / "tokenizer/model.safetensors"
    file.unlink()
    file.symlink_to("/proc/self/mem")  # not readable for root either
    for ask in (load_kronos, lambda folder: describe("kronos", {"model_id": str(folder)})):
        with pytest.raises(CheckpointError, match="can't be read"):
            ask(copy)


def test_a_file_that_is_overwritten_changes_no_model_that_was_loaded_from_it(copy: Path) -> None:
    model = load_kronos(copy)
    times = hours(34)
    before = model.generate(bars(30), times[:30], times[30:], samples=2)
    for part in ("network", "tokenizer"):
        with (copy / part / "model.safetensors").open("r+b") as file:  # as cp and rsync --inplace do
            tensors_begin = 8 + int.from_bytes(file.read(8), "little")
            size = file.seek(0, 2)
            file.seek(tensors_begin)
            file.write(bytes(size - tensors_begin))
    assert np.array_equal(model.generate(bars(30), times[:30], times[30:], samples=2), before)


def test_the_context_is_the_declared_one_or_that_of_the_published_sizes(folders: dict[str, Path], copy: Path) -> None:
    assert load_kronos(copy).max_context == 512
    assert load_kronos(folders["mini"]).max_context == 2048
    edit(copy / "network/config.json", max_context=100)
    assert load_kronos(copy).max_context == 100
    assert load_kronos(copy, max_context=64).max_context == 64


def test_a_part_that_is_missing_is_named(copy: Path) -> None:
    (copy / "network/model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"there is no .*network/model.safetensors: copy"):
        load_kronos(copy)
    (copy / "network/pytorch_model.bin").write_bytes(b"never read")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin is not read, convert it to safetensors"):
        load_kronos(copy)
    shutil.rmtree(copy)
    with pytest.raises(CheckpointError, match="there is no folder"):
        load_kronos(copy)


@pytest.mark.parametrize("keep", [0, 4, 200, 0.5, 0.999])
def test_a_truncated_file_is_refused(copy: Path, keep: float) -> None:
    file = copy / "tokenizer/model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(keep if keep > 1 else keep * len(whole))])
    with pytest.raises(CheckpointError, match="truncated or no safetensors file"):
        load_kronos(copy)


def test_network_and_tokenizer_in_each_others_place_are_noticed(copy: Path) -> None:
    (copy / "network").rename(copy / "other")
    (copy / "tokenizer").rename(copy / "network")
    (copy / "other").rename(copy / "tokenizer")
    with pytest.raises(CheckpointError, match="in each other's place"):
        load_kronos(copy)


def test_a_tokenizer_of_other_bits_is_not_the_networks(folders: dict[str, Path], copy: Path) -> None:
    shutil.rmtree(copy / "tokenizer")
    shutil.copytree(folders["mini"] / "tokenizer", copy / "tokenizer")
    with pytest.raises(CheckpointError, match=r"6\+6 bits against 10\+10"):
        load_kronos(copy)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n_layers": 3}, "lacks transformer.2"),
        ({"n_layers": 1}, "has besides transformer.1"),
        ({"ff_dim": 64}, "w1.weight is .*128.*not .*64"),
        ({"d_model": None}, "lacks d_model"),
        ({"d_model": "64"}, "d_model is '64', not a size"),
        ({"d_model": -64}, "not a size"),
        ({"n_heads": 5}, "5 heads do not divide"),
        ({"learn_te": False}, "learn_te"),
    ],
)
def test_a_config_that_is_not_the_weights_own_is_refused(copy: Path, changes: dict[str, object], said: str) -> None:
    edit(copy / "network/config.json", **changes)
    with pytest.raises(CheckpointError, match=said):
        load_kronos(copy)


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00"])
def test_a_config_that_is_no_json_is_refused(copy: Path, text: str) -> None:
    (copy / "network/config.json").write_text(text)
    with pytest.raises(CheckpointError, match="copy the checkpoint again"):
        load_kronos(copy)


def test_weights_that_are_no_numbers_are_refused(copy: Path) -> None:
    config = golden_config("tiny")["network"]
    tensors = weights("network", config, 12)
    tensors["norm.weight"][3] = np.nan
    save(copy / "network", config, tensors)
    with pytest.raises(CheckpointError, match=r"norm\.weight holds what is no finite number"):
        load_kronos(copy)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache, and no network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def published(cache: Path, folder: Path, model_id: str) -> None:
    """As the hub's own client lays it out."""
    for part, repository in (("network", PUBLISHED[model_id].network), ("tokenizer", PUBLISHED[model_id].tokenizer)):
        home = cache / f"models--{repository.name.replace('/', '--')}"
        shutil.copytree(folder / part, home / "snapshots" / repository.revision)
        (home / "refs").mkdir()
        (home / "refs" / "main").write_text(repository.revision)


@pytest.mark.parametrize("model_id", sorted(PUBLISHED))
def test_what_is_published_is_meant_by_its_commit(model_id: str) -> None:
    pinned = PUBLISHED[model_id]
    assert re.fullmatch("[0-9a-f]{40}", pinned.network.revision)
    assert re.fullmatch("[0-9a-f]{40}", pinned.tokenizer.revision)


def test_a_published_model_is_loaded_from_the_cache_by_its_pinned_revision(
    cache: Path, folders: dict[str, Path]
) -> None:
    published(cache, folders["mini"], "NeoQuasar/Kronos-mini")
    assert lacking("NeoQuasar/Kronos-mini") is None
    found = load(locate("NeoQuasar/Kronos-mini"))
    assert found.label == "NeoQuasar/Kronos-mini@f4e68697d9d5aed55cef5c96aabc3376bcad9f81"
    assert found.max_context == 2048


def test_a_branch_is_recorded_as_the_commit_that_it_was(cache: Path, folders: dict[str, Path]) -> None:
    published(cache, folders["tiny"], "NeoQuasar/Kronos-base")
    commit = PUBLISHED["NeoQuasar/Kronos-base"].network.revision
    assert locate("NeoQuasar/Kronos-base@main").label == f"NeoQuasar/Kronos-base@{commit}"


def test_of_published_weights_that_counts_as_learned_which_their_authors_say(
    cache: Path, folders: dict[str, Path]
) -> None:
    published(cache, folders["tiny"], "NeoQuasar/Kronos-base")
    for model_id in ("NeoQuasar/Kronos-base", "NeoQuasar/Kronos-base@main"):
        assert locate(model_id).learned_to == {"*": datetime(2024, 6, 1, tzinfo=UTC)}
    home = cache / "models--NeoQuasar--Kronos-base"
    shutil.copytree(folders["tiny"] / "network", home / "snapshots" / ("d" * 40))
    assert locate("NeoQuasar/Kronos-base@" + "d" * 40).learned_to == {"*": None}, "of others nobody says it"
    assert locate("kronos-nano").learned_to == {}
    assert locate(str(folders["tiny"])).learned_to == {"*": None}


def test_offline_without_the_model_says_what_would_help(cache: Path) -> None:
    reason = lacking("NeoQuasar/Kronos-small")
    assert reason is not None
    assert "KRONOS_MODEL_ID" in reason
    with pytest.raises(CheckpointError, match=r"can't be downloaded .*start it once with network"):
        locate("NeoQuasar/Kronos-small")


def test_another_revision_is_not_taken_for_the_pinned_one(cache: Path, folders: dict[str, Path]) -> None:
    published(cache, folders["tiny"], "NeoQuasar/Kronos-small")
    assert lacking("NeoQuasar/Kronos-small") is None
    assert lacking("NeoQuasar/Kronos-small@" + "d" * 40) is not None


def test_an_unknown_model_is_refused_with_those_that_are_known(cache: Path) -> None:
    with pytest.raises(CheckpointError, match=r"neither a folder here nor one of NeoQuasar/Kronos-mini"):
        locate("someone/Kronos-huge")
    assert lacking("someone/Kronos-huge") is not None
    assert str(lacking("./nowhere")).startswith("there is no folder nowhere: give a folder with network and tokenizer")


def test_a_folder_of_its_name_here_does_not_come_in_place_of_a_published_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a path that cannot be a published name is a folder then."""
    (tmp_path / "NeoQuasar/Kronos-mini/network").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert not is_folder("NeoQuasar/Kronos-mini")
    assert not is_folder("NeoQuasar/Kronos-mini@main")
    assert is_folder("./NeoQuasar/Kronos-mini")


def test_a_checkpoint_that_others_may_change_is_not_read(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["tiny"], tmp_path / "model")
    weights = tmp_path / "model/network/model.safetensors"
    weights.chmod(0o666)
    with pytest.raises(CheckpointError, match=f"right: chmod go-w {weights}"):
        locate(str(tmp_path / "model"))
    assert lacking(str(tmp_path / "model")) is not None

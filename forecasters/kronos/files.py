"""The files of a checkpoint's folder: config.json, and model.safetensors or its shards with an index. Without torch."""

from __future__ import annotations

import json
from hashlib import file_digest, sha256
from pathlib import Path

from forecasters.base import ForecastError
from settings.trust import distrust

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
_SHOWN = 4  # of what is missing or wrong, in a message


class CheckpointError(ForecastError):
    """A checkpoint that is absent or not what it should be. The message says what to do."""


def existing(file: Path) -> Path:
    """The file, or a CheckpointError that says what to do."""
    if file.is_file():
        return file
    raise CheckpointError(f"there is no {file}: copy the checkpoint again")


def weight_files(folder: Path) -> list[Path]:
    """Those that hold the weights: one, or the shards that the index names. CheckpointError where one is missing."""
    index = folder / INDEX
    if not index.is_file():
        return [_whole(folder / WEIGHTS)]
    try:
        places = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = sorted(set(places.values()))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{index} is not an index of weights: {error!r}") from error
    wrong = [name for name in names if not isinstance(name, str) or Path(name).name != name]
    if wrong:
        raise CheckpointError(f"{index} names files outside its folder: {wrong[:_SHOWN]}")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(f"{folder} lacks {', '.join(missing[:_SHOWN])}, which its index names: copy it again")
    return [folder / name for name in names]


def _whole(file: Path) -> Path:
    if file.is_file():
        return file
    others = sorted(path.name for path in file.parent.glob("*.bin"))
    advice = f"{', '.join(others)} is not read, convert it to safetensors" if others else "copy the checkpoint again"
    raise CheckpointError(f"there is no {file}: {advice}")


def hash_of(*folders: Path) -> str:
    """Twelve digits that change with the weights of any of them. Raises CheckpointError."""
    digest = sha256()
    for folder in folders:
        for file in weight_files(folder):
            try:
                with file.open("rb") as opened:
                    file_digest(opened, lambda: digest)
            except OSError as error:
                raise CheckpointError(
                    f"the weights in {folder} can't be read ({error}): copy the checkpoint again"
                ) from error
    return digest.hexdigest()[:12]


def untrusted(folder: Path) -> str:
    """Why its files are not read, as one line; empty where they are."""
    files = (folder / CONFIG, folder / WEIGHTS, *sorted(folder.glob("*.safetensors*")))
    return next((f"the checkpoint is not read: {why}" for file in files if (why := distrust(file))), "")

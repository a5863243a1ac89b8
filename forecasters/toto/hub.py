"""Where a checkpoint is: a folder, or a published one by revision, from the hub's cache or downloaded into it.

Only config.json and safetensors are fetched: a pickle may run code. No torch in here: the menu asks, too.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

from forecasters.card import UNKNOWN, Learned, learned_to
from forecasters.kronos.files import CONFIG, CheckpointError, untrusted
from forecasters.kronos.snapshots import cached, downloaded

_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w.-]+)?")
_ADVICE = "start it once with network, or set TOTO_MODEL_ID to a folder with config.json and model.safetensors"
PUBLISHED = {  # the commit that is meant where none is named
    "Datadog/Toto-Open-Base-1.0": "0411ceb27bdf7fc3e4892e99edc8ad08192dc3c5",
    "Datadog/Toto-2.0-4m": "8306a9801cf98c0f5ffe4b2dcc8f496e616d84d9",
    "Datadog/Toto-2.0-22m": "685e4ae3e2be8d8998025e53dd98e7fdcb296a89",
    "Datadog/Toto-2.0-313m": "a7bab288f5e95f8606f8306f86659357e1c001ef",
    "Datadog/Toto-2.0-1B": "1604e1a5242884fb9848f88c4ced14f4dc62d9d3",
    "Datadog/Toto-2.0-2.5B": "51a2812bbe449437c01b79c0e425ed578f335f5b",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A folder on this machine; `label` is name@revision, for records: the commit, or a hash of the weights.

    learned_to  as forecasters.options.Checkpoint. Of the published ones it is not known: nobody has said it.
    """

    folder: Path
    label: str
    learned_to: Learned = field(default_factory=lambda: UNKNOWN)


def locate(model_id: str) -> Located:
    """A folder, or a hub name: @revision, else the commit in PUBLISHED, else its main. Raises CheckpointError."""
    if is_folder(model_id):
        return _local(Path(model_id).expanduser())
    name, revision = _named(model_id)
    folder = cached(name, revision) or downloaded(name, revision, _ADVICE)
    return Located(folder=folder, label=f"{name}@{folder.name[:12]}")  # a snapshot's folder is named by its commit


def lacking(model_id: str) -> str | None:
    """Why it can't be loaded here, as one line; None where it may be."""
    from huggingface_hub import constants

    if is_folder(model_id):
        folder = Path(model_id).expanduser()
        if not (folder / CONFIG).is_file():
            return f"there is no checkpoint in {folder}: {_ADVICE}"
        return untrusted(folder) or None
    try:
        if cached(*_named(model_id)) is not None or not constants.HF_HUB_OFFLINE:
            return None
    except CheckpointError as error:
        return error.reason
    return f"{model_id} is not in the hub's cache, and HF_HUB_OFFLINE is set, or WORKER_NETWORK=off: {_ADVICE}"


def absent(model_id: str) -> bool:
    """Whether it is one of the hub's and not on this machine, and may be fetched."""
    from huggingface_hub import constants

    if is_folder(model_id) or constants.HF_HUB_OFFLINE:
        return False
    try:
        return cached(*_named(model_id)) is None
    except CheckpointError:
        return False  # to be told by who wants it


def unpinned(model_id: str) -> str:
    """What is not certain of a published checkpoint that no commit is known of, as one line; empty where all is."""
    if is_folder(model_id) or re.fullmatch(r"[0-9a-f]{40}", _named(model_id)[1]):
        return ""
    return f"{model_id} names no commit: what is downloaded first is used, and said with each forecast; pin it with @"


def is_folder(model_id: str) -> bool:
    """What can't be a hub name, or an existing folder that is not called like a published one: a folder of that name
    must not come in its place."""
    if model_id.partition("@")[0] in PUBLISHED:
        return False
    return Path(model_id).is_dir() or _NAME.fullmatch(model_id) is None or model_id.startswith((".", "/", "~"))


def _named(model_id: str) -> tuple[str, str]:
    name, _, revision = model_id.partition("@")
    return name, revision or PUBLISHED.get(name, "main")


def _local(folder: Path) -> Located:
    if why := untrusted(folder):
        raise CheckpointError(why)
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise CheckpointError(f"there is no model.safetensors in {folder}: {_ADVICE}")
    digest = hashlib.sha256()
    try:
        for file in files:
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
    except OSError as error:
        raise CheckpointError(f"the weights in {folder} can't be read ({error}): copy the checkpoint again") from error
    label = f"{folder.resolve().name}@{digest.hexdigest()[:12]}"
    return Located(folder=folder, label=label, learned_to=learned_to(folder))

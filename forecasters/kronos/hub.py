"""Where a checkpoint is: a folder, or a published one by pinned revision, from the hub's cache or downloaded into it.

A checkpoint is two folders, each with config.json and model.safetensors: the network and the tokenizer that it was
trained with. Nothing but safetensors is fetched or read: a pickle may run code. No torch in here: the menu asks, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from forecasters.base import ForecastError
from forecasters.card import EVERY, UNKNOWN, Learned, learned_to
from forecasters.progress import report
from settings.trust import distrust

CONFIG, WEIGHTS = "config.json", "model.safetensors"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w.-]+)?")


class CheckpointError(ForecastError):
    """A checkpoint that is absent or not what it should be. The message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """Two folders on this machine.

    label        name@revision, for records
    max_context  bars that the network was trained to see, where that is known from its name
    learned_to   as forecasters.options.Checkpoint
    """

    network: Path
    tokenizer: Path
    label: str
    max_context: int | None
    learned_to: Learned = field(default_factory=lambda: UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """`revision` is a commit, or a branch, which is then said with every forecast as the commit that it was."""

    name: str
    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    network: Repository
    tokenizer: Repository
    max_context: int


# Its authors say so of the published weights: trained on bars to the end of February 2024, chosen by those of March to
# May (https://github.com/shiyu-coder/Kronos/issues/204). Of another revision nothing is said.
_PUBLISHED_LEARNED_TO: Learned = {EVERY: datetime(2024, 6, 1, tzinfo=UTC)}
_TOKENIZER_BASE = Repository(
    name="NeoQuasar/Kronos-Tokenizer-base", revision="0e0117387f39004a9016484a186a908917e22426"
)
_TOKENIZER_2K = Repository(name="NeoQuasar/Kronos-Tokenizer-2k", revision="26966d0035065a0cae0ebad7af8ece35bc1fb51c")
PUBLISHED = {
    "NeoQuasar/Kronos-mini": Published(
        network=Repository(name="NeoQuasar/Kronos-mini", revision="f4e68697d9d5aed55cef5c96aabc3376bcad9f81"),
        tokenizer=_TOKENIZER_2K,
        max_context=2048,
    ),
    "NeoQuasar/Kronos-small": Published(
        network=Repository(name="NeoQuasar/Kronos-small", revision="901c26c1332695a2a8f243eb2f37243a37bea320"),
        tokenizer=_TOKENIZER_BASE,
        max_context=512,
    ),
    "NeoQuasar/Kronos-base": Published(
        network=Repository(name="NeoQuasar/Kronos-base", revision="2b554741eca47781b64468546e77fef3e85130e6"),
        tokenizer=_TOKENIZER_BASE,
        max_context=512,
    ),
}


SHIPPED = {"kronos-nano": Path(__file__).parent / "nano"}  # reserved: a folder of that name is ./kronos-nano


def locate(model_id: str) -> Located:
    """A shipped one, a folder, or a hub name with or without @revision, which may be downloaded.

    Raises CheckpointError.
    """
    if model_id in SHIPPED:
        location = _of_folder(SHIPPED[model_id])  # believed like the code that it lies beside
        return replace(location, label=f"{model_id}@{location.label.rpartition('@')[2]}")
    if is_folder(model_id):
        return locate_folder(Path(model_id).expanduser())
    published = _published(model_id)
    network = _snapshot(published.network)
    revision = network.name if _COMMIT.fullmatch(network.name) else published.network.revision
    is_pinned = revision == PUBLISHED[published.network.name].network.revision
    return Located(
        network=network,
        tokenizer=_snapshot(published.tokenizer),
        label=f"{published.network.name}@{revision}",
        max_context=published.max_context,
        learned_to=_PUBLISHED_LEARNED_TO if is_pinned else UNKNOWN,
    )


def locate_folder(folder: Path) -> Located:
    """folder/network and folder/tokenizer; the revision is a hash of both weights. Raises CheckpointError."""
    if why := _untrusted(folder):
        raise CheckpointError(why)
    return _of_folder(folder)


def _untrusted(folder: Path) -> str:
    files = [folder / part / name for part in ("network", "tokenizer") for name in (CONFIG, WEIGHTS)]
    return next((f"the checkpoint is not read: {why}" for file in files if (why := distrust(file))), "")


def _of_folder(folder: Path) -> Located:
    if not folder.is_dir():
        raise CheckpointError(f"there is no folder {folder}: give one with network/ and tokenizer/ in it")
    digest = sha256()
    try:
        for part in ("network", "tokenizer"):
            digest.update(existing(folder / part / WEIGHTS).read_bytes())
    except OSError as error:
        raise CheckpointError(f"the weights in {folder} can't be read ({error}): copy the checkpoint again") from error
    label = f"{folder.resolve().name}@{digest.hexdigest()[:12]}"
    return Located(
        network=folder / "network",
        tokenizer=folder / "tokenizer",
        label=label,
        max_context=None,
        learned_to=learned_to(folder),
    )


def existing(file: Path) -> Path:
    """The file, or a CheckpointError that says what to do."""
    if file.is_file():
        return file
    others = sorted(path.name for path in file.parent.glob("*.bin")) if file.name == WEIGHTS else []
    advice = f"{', '.join(others)} is not read, convert it to safetensors" if others else "copy the checkpoint again"
    raise CheckpointError(f"there is no {file}: {advice}")


def lacking(model_id: str) -> str | None:
    """What of it is not on this machine and cannot be had either, as one line; None where it may be loaded."""
    from huggingface_hub import constants

    if model_id in SHIPPED:
        return None if SHIPPED[model_id].is_dir() else f"{SHIPPED[model_id]} is missing: install trader again"
    if is_folder(model_id):
        folder = Path(model_id).expanduser()
        return (_untrusted(folder) or None) if folder.is_dir() else f"there is no folder {model_id}"
    try:
        published = _published(model_id)
    except CheckpointError as error:
        return error.reason
    try:
        absent = [repository for repository in (published.network, published.tokenizer) if _cached(repository) is None]
    except CheckpointError as error:
        return error.reason
    if not absent or not constants.HF_HUB_OFFLINE:
        return None
    return f"{absent[0].name} is not in the hub's cache, and HF_HUB_OFFLINE is set, or WORKER_NETWORK=off; {_ADVICE}"


def absent(model_id: str) -> bool:
    """Whether it is one of the hub's and not on this machine, and may be fetched."""
    from huggingface_hub import constants

    if model_id in SHIPPED or is_folder(model_id) or constants.HF_HUB_OFFLINE:
        return False
    try:
        published = _published(model_id)
        return any(_cached(repository) is None for repository in (published.network, published.tokenizer))
    except CheckpointError:
        return False  # to be told by who wants it


def is_folder(model_id: str) -> bool:
    """What can't be a hub name, or an existing folder that is not called like a published one: a folder of that name
    must not come in its place."""
    if model_id.partition("@")[0] in PUBLISHED:
        return False
    return Path(model_id).is_dir() or _NAME.fullmatch(model_id) is None or model_id.startswith((".", "/", "~"))


_ADVICE = (
    "start it once with network, or set KRONOS_MODEL_ID to kronos-nano or to a folder with network/ and tokenizer/"
)


def _published(model_id: str) -> Published:
    name, _, revision = model_id.partition("@")
    published = PUBLISHED.get(name)
    if published is None:
        raise CheckpointError(
            f"{name} is neither a folder here nor one of {', '.join(PUBLISHED)}: for another model, give a folder "
            "with network/ and tokenizer/"
        )
    if not revision:
        return published
    network = Repository(name=name, revision=revision)
    return Published(network=network, tokenizer=published.tokenizer, max_context=published.max_context)


def _cached(repository: Repository) -> Path | None:
    """The folder of a snapshot that is on this machine with both files."""
    from huggingface_hub import try_to_load_from_cache

    entries = [
        try_to_load_from_cache(repository.name, name, revision=repository.revision) for name in (CONFIG, WEIGHTS)
    ]
    paths = [Path(path) for path in entries if isinstance(path, str)]
    if why := next((why for path in paths if (why := distrust(path))), ""):
        raise CheckpointError(f"the hub's cache is not read: {why}")
    return paths[0].parent if len(paths) == 2 else None


def _snapshot(repository: Repository) -> Path:
    """From the cache, without asking the network; else downloaded. Raises CheckpointError."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    folder = _cached(repository)
    if folder is not None:
        return folder
    report(f"downloading {repository.name}@{repository.revision[:12]}")
    try:
        files = [hf_hub_download(repository.name, name, revision=repository.revision) for name in (CONFIG, WEIGHTS)]
    except (HfHubHTTPError, OSError, ValueError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{repository.name}@{repository.revision[:12]} is not in the hub's cache and can't be downloaded "
            f"({why}): {_ADVICE}"
        ) from error
    return Path(files[0]).parent

"""Where a checkpoint is: a folder, or one of the hub by pinned revision, from the hub's cache or downloaded into it.

A checkpoint is two folders, each with config.json and safetensors: the network and the tokenizer that it was trained
with. Nothing but safetensors is fetched or read: a pickle may run code. No torch in here: the menu asks, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from forecasters.card import EVERY, UNKNOWN, Learned, later, learned_to
from forecasters.kronos.files import CheckpointError, hash_of, untrusted
from forecasters.kronos.layouts import nearest, parts_of, tokenizer_in, whole_around
from forecasters.kronos.snapshots import cached, downloaded

_COMMIT = re.compile(r"[0-9a-f]{40}")
_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w.-]+)?")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sources:
    """Where the two are to come from. `folder` is the one that both lie in, `apart` whether the tokenizer was named."""

    network: Path | Repository
    tokenizer: Path | Repository
    folder: Path | None = None
    max_context: int | None = None
    apart: bool = False


TOKENIZERS = {
    "NeoQuasar/Kronos-Tokenizer-base": "0e0117387f39004a9016484a186a908917e22426",
    "NeoQuasar/Kronos-Tokenizer-2k": "26966d0035065a0cae0ebad7af8ece35bc1fb51c",
}
_TOKENIZER_BASE, _TOKENIZER_2K = (Repository(name=name, revision=commit) for name, commit in TOKENIZERS.items())
# Its authors say so of the published weights: trained on bars to the end of February 2024, chosen by those of March to
# May (https://github.com/shiyu-coder/Kronos/issues/204). Of another revision nothing is said.
_PUBLISHED_LEARNED_TO: Learned = {EVERY: datetime(2024, 6, 1, tzinfo=UTC)}
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
_PINNED = {name: each.network.revision for name, each in PUBLISHED.items()}


SHIPPED = {"kronos-nano": Path(__file__).parent / "nano"}  # reserved: a folder of that name is ./kronos-nano
_ADVICE = (
    "start it once with network, or set KRONOS_MODEL_ID to kronos-nano or to a folder with a network and tokenizer"
)
_WHICH = (
    "NeoQuasar/Kronos-Tokenizer-2k for a network made from Kronos-mini, NeoQuasar/Kronos-Tokenizer-base for one made "
    "from Kronos-small or -base, or the folder of its own"
)


def locate(model_id: str, tokenizer_id: str = "") -> Located:
    """A shipped one, a folder, or a hub name with @revision, which may be downloaded.

    tokenizer_id  of a network that is to have another tokenizer than the one beside it, or has none: likewise
    Raises CheckpointError.
    """
    return _located(_sources(model_id, tokenizer_id), believed=model_id in SHIPPED, name=model_id)


def locate_folder(folder: Path) -> Located:
    """The revision is a hash of both weights. Raises CheckpointError."""
    return _located(_sources_in(folder, ""), believed=False, name="")


def lacking(model_id: str, tokenizer_id: str = "") -> str | None:
    """What of it is not on this machine and cannot be had either, as one line; None where it may be loaded."""
    from huggingface_hub import constants

    if model_id in SHIPPED and not SHIPPED[model_id].is_dir():
        return f"{SHIPPED[model_id]} is missing: install trader again"
    try:
        sources = _sources(model_id, tokenizer_id)
        absent = [each for each in (sources.network, sources.tokenizer) if not _is_here(each, model_id in SHIPPED)]
    except CheckpointError as error:
        return error.reason
    if not absent or not constants.HF_HUB_OFFLINE:
        return None
    name = absent[0].name if isinstance(absent[0], Repository) else absent[0]
    return f"{name} is not in the hub's cache, and HF_HUB_OFFLINE is set, or WORKER_NETWORK=off; {_ADVICE}"


def absent(model_id: str, tokenizer_id: str = "") -> bool:
    """Whether any of it is one of the hub's and not on this machine, and may be fetched."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        sources = _sources(model_id, tokenizer_id)
        return not all(_is_here(each, believed=True) for each in (sources.network, sources.tokenizer))
    except CheckpointError:
        return False  # to be told by who wants it


def is_folder(model_id: str) -> bool:
    """What can't be a hub name, or an existing folder that is not called like a published one: a folder of that name
    must not come in its place."""
    if model_id.partition("@")[0] in {*PUBLISHED, *TOKENIZERS}:
        return False
    return Path(model_id).is_dir() or _NAME.fullmatch(model_id) is None or model_id.startswith((".", "/", "~"))


# ---- from names to places ----


def _sources(model_id: str, tokenizer_id: str) -> _Sources:
    """Nothing is fetched for it. Raises CheckpointError."""
    if model_id in SHIPPED:
        if tokenizer_id:
            raise CheckpointError(f"{model_id} has its own tokenizer: leave KRONOS_TOKENIZER_ID empty")
        return _sources_in(SHIPPED[model_id], "")
    if is_folder(model_id):
        return _sources_in(Path(model_id).expanduser(), tokenizer_id)
    network = _repository(model_id, _PINNED, "KRONOS_MODEL_ID")
    published = PUBLISHED.get(network.name)
    if tokenizer_id:
        tokenizer = _tokenizer(tokenizer_id)
    elif published is not None:
        tokenizer = published.tokenizer
    else:
        raise CheckpointError(f"{model_id} needs its tokenizer: set KRONOS_TOKENIZER_ID to {_WHICH}")
    context = published.max_context if published is not None else None
    return _Sources(network=network, tokenizer=tokenizer, max_context=context, apart=bool(tokenizer_id))


def _sources_in(folder: Path, tokenizer_id: str) -> _Sources:
    parts = parts_of(folder, (*SHIPPED, *PUBLISHED))
    if tokenizer_id:
        return _Sources(network=parts.network, tokenizer=_tokenizer(tokenizer_id), folder=folder, apart=True)
    if parts.tokenizer is not None:
        return _Sources(network=parts.network, tokenizer=parts.tokenizer, folder=folder)
    if whole := whole_around(parts.network):
        raise CheckpointError(f"{folder} is a network alone: its tokenizer is beside it, so give {whole}")
    raise CheckpointError(f"{folder} is a network alone: set KRONOS_TOKENIZER_ID to {_WHICH}")


def _tokenizer(tokenizer_id: str) -> Path | Repository:
    if is_folder(tokenizer_id):
        return tokenizer_in(Path(tokenizer_id).expanduser(), TOKENIZERS)
    return _repository(tokenizer_id, TOKENIZERS, "KRONOS_TOKENIZER_ID")


def _repository(hub_id: str, pinned: dict[str, str], setting: str) -> Repository:
    """A published one, whose commit is known, or any other with its commit: a branch may be another model tomorrow."""
    name, _, revision = hub_id.partition("@")
    if name in pinned:
        return Repository(name=name, revision=revision or pinned[name])
    if _COMMIT.fullmatch(revision):
        return Repository(name=name, revision=revision)
    raise CheckpointError(
        f"{name} is neither a folder here nor one of {', '.join(pinned)}{nearest(name, pinned)}: any other of the hub "
        f"is taken by its commit, {setting}={name}@ and the 40 digits at https://huggingface.co/{name}/commits/main"
    )


# ---- from places to folders ----


def _located(sources: _Sources, *, believed: bool, name: str) -> Located:
    """`believed`: like the code that it lies beside."""
    folders = []
    for source in (sources.network, sources.tokenizer):
        if isinstance(source, Repository):
            folder = cached(source.name, source.revision) or downloaded(source.name, source.revision, _ADVICE)
        elif (why := untrusted(source)) and not believed:
            raise CheckpointError(why)
        else:
            folder = source
        folders.append(folder)
    network, tokenizer = folders
    return Located(
        network=network,
        tokenizer=tokenizer,
        label=_label(sources, network, tokenizer, name if believed else ""),
        max_context=sources.max_context,
        learned_to=_learned(sources, network, tokenizer),
    )


def _learned(sources: _Sources, network: Path, tokenizer: Path) -> Learned:
    """What either of the two has learned, the other has seen in a forecast."""
    if sources.folder is not None and not sources.apart:
        return learned_to(sources.folder)
    whole = sources.folder if sources.folder is not None else network
    return later(_learned_of(sources.network, network, whole), _learned_of(sources.tokenizer, tokenizer, tokenizer))


def _learned_of(source: Path | Repository, folder: Path, card_in: Path) -> Learned:
    if not isinstance(source, Repository):
        return learned_to(card_in)
    revision = folder.name if _COMMIT.fullmatch(folder.name) else source.revision
    is_pinned = revision == {**_PINNED, **TOKENIZERS}.get(source.name)
    return _PUBLISHED_LEARNED_TO if is_pinned else UNKNOWN


def _label(sources: _Sources, network: Path, tokenizer: Path, name: str) -> str:
    if sources.folder is not None and not sources.apart:
        return f"{name or sources.folder.resolve().name}@{hash_of(network, tokenizer)}"
    own = _label_of(sources.network, network, sources.folder)
    return f"{own}+{_label_of(sources.tokenizer, tokenizer, tokenizer)}" if sources.apart else own


def _label_of(source: Path | Repository, folder: Path, called: Path | None) -> str:
    if isinstance(source, Repository):
        return f"{source.name}@{folder.name if _COMMIT.fullmatch(folder.name) else source.revision}"
    return f"{(called or folder).resolve().name}@{hash_of(folder)}"


def _is_here(source: Path | Repository, believed: bool) -> bool:
    """Raises CheckpointError where it is and can't be read."""
    if isinstance(source, Repository):
        return cached(source.name, source.revision) is not None
    if (why := untrusted(source)) and not believed:
        raise CheckpointError(why)
    return True

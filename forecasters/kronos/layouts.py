"""Where in a folder the network and its tokenizer are: as this program writes them, or as the original's trainings do.

    network                                         tokenizer
    basemodel/best_model                            tokenizer/best_model                            its finetune_csv
    finetune_predictor_demo/checkpoints/best_model  finetune_tokenizer_demo/checkpoints/best_model  its finetune (qlib)

A folder may also be the network itself, config.json and weights in it; then the tokenizer is named apart.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from forecasters.kronos.files import CONFIG, CheckpointError

_LAYOUTS = (
    ("network", "tokenizer"),
    ("basemodel/best_model", "tokenizer/best_model"),
    ("finetune_predictor_demo/checkpoints/best_model", "finetune_tokenizer_demo/checkpoints/best_model"),
)
_ITSELF = ("", "best_model", "checkpoints/best_model")
_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """`tokenizer` is None where the folder is a network without one."""

    network: Path
    tokenizer: Path | None


def parts_of(folder: Path, known: Iterable[str] = ()) -> Parts:
    """Of a folder; what is in the two is not looked at. Raises CheckpointError.

    known  names that may have been meant where there is no such folder
    """
    _check_there(folder, known)
    pairs = [(folder / network, folder / tokenizer) for network, tokenizer in _LAYOUTS]
    for there in (_has_config, Path.is_dir):  # where only a config is missing, whoever reads it says so
        for network, tokenizer in pairs:
            if there(network) and there(tokenizer):
                return Parts(network=network, tokenizer=tokenizer)
    for network in (*(folder / place for place in _ITSELF), *(network for network, _ in pairs)):
        if _has_config(network) and not _is_tokenizer(network):
            return Parts(network=network, tokenizer=None)
    for network, tokenizer in pairs:
        if _has_config(tokenizer):
            raise CheckpointError(
                f"there is a tokenizer in {tokenizer}, and no network in {network}: copy it there, too"
            )
    if _is_tokenizer(folder):
        raise CheckpointError(f"{folder} is a tokenizer: that is KRONOS_TOKENIZER_ID, KRONOS_MODEL_ID is the network")
    raise CheckpointError(f"there is no Kronos checkpoint in {folder}, which {_contents(folder)}: {_wanted()}")


def tokenizer_in(folder: Path, known: Iterable[str] = ()) -> Path:
    """The folder of a tokenizer itself, or of something that has one. Raises CheckpointError."""
    _check_there(folder, known)
    for place in (*_ITSELF, *(tokenizer for _, tokenizer in _LAYOUTS)):
        if _is_tokenizer(folder / place):
            return folder / place
    raise CheckpointError(
        f"there is no Kronos tokenizer in {folder}, which {_contents(folder)}: KRONOS_TOKENIZER_ID is a folder with a "
        f"tokenizer's {CONFIG} and weights, or a hub name"
    )


def whole_around(network: Path) -> Path | None:
    """The folder in which a network is one of a pair."""
    for inside, tokenizer in _LAYOUTS:
        levels = len(Path(inside).parts)
        parents = network.resolve().parents
        if len(parents) >= levels:
            root = parents[levels - 1]
            if root / inside == network.resolve() and _has_config(root / tokenizer):
                return root
    return None


def nearest(name: str, known: Iterable[str]) -> str:
    """`, did you mean ...?` with the most similar of them, by its whole name or its last part; empty where none is."""
    by_text = {text.lower(): each for each in known for text in (each, each.rpartition("/")[2])}
    for text in (name, name.rpartition("/")[2]):
        if found := difflib.get_close_matches(text.lower(), by_text, n=1, cutoff=0.8):
            return f", did you mean {by_text[found[0]]}?"
    return ""


def _check_there(folder: Path, known: Iterable[str]) -> None:
    if folder.is_dir():
        return
    if folder.exists():
        raise CheckpointError(f"{folder} is a file: give the folder that it lies in")
    told = nearest(str(folder), [*known, *_beside(folder)])
    raise CheckpointError(f"there is no folder {folder}{told or f': {_wanted()}'}")


def _beside(folder: Path) -> list[str]:
    """None where that may not be read, as in the worker's sandbox."""
    try:
        return [str(each) for each in sorted(folder.parent.iterdir()) if each.is_dir()]
    except OSError:
        return []


def _has_config(folder: Path) -> bool:
    return (folder / CONFIG).is_file()


def _is_tokenizer(folder: Path) -> bool:
    if not _has_config(folder):
        return False
    try:
        return "d_in" in json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False  # whoever loads it will say what is wrong with it


def _contents(folder: Path) -> str:
    names = sorted(f"{each.name}/" if each.is_dir() else each.name for each in folder.iterdir())
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"holds {', '.join(names[:_SHOWN])}{more}" if names else "is empty"


def _wanted() -> str:
    pairs = "; or ".join(f"{network} and {tokenizer}" for network, tokenizer in _LAYOUTS)
    return f"give a folder with {pairs}; or a network's own, with KRONOS_TOKENIZER_ID"

"""Two folders to two models, or a refusal that says what to do: a wrong weight is worse than none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from forecasters.kronos.files import CONFIG, CheckpointError, existing, weight_files
from forecasters.kronos.hub import Located
from forecasters.kronos.model import Network, NetworkConfig
from forecasters.kronos.tokenizer import Tokenizer, TokenizerConfig

DEFAULT_CONTEXT = 512
_FIXED = ("inv_freq", "basis", "group_basis", "group_codebook")  # buffers of the original, which follow from the config

_WRAPPERS = ("_orig_mod.", "module.")  # of torch.compile, and of DataParallel

Config = TypeVar("Config", NetworkConfig, TokenizerConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Two loaded models, in evaluation mode on the CPU, float32.

    label        name@revision, for records
    max_context  bars that the network was trained to see
    """

    network: Network
    tokenizer: Tokenizer
    label: str
    max_context: int


def load(located: Located, *, max_context: int | None = None) -> Checkpoint:
    """Reads, checks and fills. Raises CheckpointError."""
    network, tokenizer = located.network, located.tokenizer
    network_config = _config(network, NetworkConfig)
    tokenizer_config = _config(tokenizer, TokenizerConfig)
    _check_pair(network, network_config, tokenizer, tokenizer_config)
    return Checkpoint(
        network=_filled(lambda: Network(network_config), network),
        tokenizer=_filled(lambda: Tokenizer(tokenizer_config), tokenizer),
        label=located.label,
        max_context=max_context or located.max_context or _declared_context(network),
    )


def _settings(folder: Path) -> Mapping[str, object]:
    file = existing(folder / CONFIG)
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{file} can't be read ({error}): copy the checkpoint again") from error
    if not isinstance(settings, dict):
        raise CheckpointError(f"{file} is no JSON object: copy the checkpoint again")
    return settings


def _config(folder: Path, kind: type[Config]) -> Config:
    settings = _settings(folder)
    names = [field.name for field in fields(kind)]
    lacking = [name for name in names if name not in settings]
    if lacking:
        hint = ""
        if ("d_in" in settings) != (kind is TokenizerConfig):
            hint = "; are network and tokenizer in each other's place?"
        raise CheckpointError(f"{folder / CONFIG} is no {_called(kind)}'s: it lacks {', '.join(lacking)}{hint}")
    wrong = [name for name in names if type(settings[name]) is not int or not 1 <= int(str(settings[name])) <= 2**16]
    if wrong:
        raise CheckpointError(f"{folder / CONFIG}: {wrong[0]} is {settings[wrong[0]]!r}, not a size; copy it again")
    if settings.get("learn_te", True) is not True:
        raise CheckpointError(f"{folder / CONFIG}: fixed time embeddings (learn_te false) are not supported")
    config = kind(**{name: int(str(settings[name])) for name in names})
    if config.d_model % config.n_heads or (config.d_model // config.n_heads) % 2:
        raise CheckpointError(f"{folder / CONFIG}: {config.n_heads} heads do not divide the width {config.d_model}")
    if max(config.s1_bits, config.s2_bits) > 16:
        raise CheckpointError(f"{folder / CONFIG}: a vocabulary of more than 2^16 is no Kronos checkpoint's")
    return config


def _called(kind: type[object]) -> str:
    return "network" if kind is NetworkConfig else "tokenizer"


def _check_pair(network: Path, config: NetworkConfig, tokenizer: Path, other: TokenizerConfig) -> None:
    if (config.s1_bits, config.s2_bits) != (other.s1_bits, other.s2_bits):
        raise CheckpointError(
            f"the network in {network} was not trained with the tokenizer in {tokenizer}: tokens of "
            f"{config.s1_bits}+{config.s2_bits} bits against {other.s1_bits}+{other.s2_bits}; take the pair that "
            "the network's page names"
        )
    if other.d_in != 6:
        raise CheckpointError(f"{tokenizer / CONFIG}: d_in is {other.d_in}, but a bar has 6 columns")
    if other.s1_bits != other.s2_bits or config.d_model % 4:
        raise CheckpointError(f"{network / CONFIG}: unequal bits, or a width that 4 does not divide, are not supported")


def _declared_context(network: Path) -> int:
    """From the config where it says so; the published ones do not, and only mini differs from 512."""
    settings = _settings(network)
    declared = settings.get("max_context")
    if isinstance(declared, int) and declared > 1:
        return declared
    is_mini = (settings["n_layers"], settings["d_model"]) == (4, 256)
    return 2048 if is_mini else DEFAULT_CONTEXT


Model = TypeVar("Model", bound=nn.Module)


def _filled(make: Callable[[], Model], folder: Path) -> Model:
    """The model with the file's weights and nothing random in it."""
    with torch.device("meta"):
        model = make()
    files = weight_files(folder)
    file = files[0] if len(files) == 1 else folder
    weights = {name: value for name, value in _tensors(files).items() if name.rpartition(".")[2] not in _FIXED}
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    lacking = sorted(expected.keys() - weights.keys())
    foreign = sorted(weights.keys() - expected.keys())
    if lacking or foreign:
        raise CheckpointError(
            f"{file} does not fit its {CONFIG}: {_some('lacks', lacking)}{_some('has besides', foreign)}"
            "copy both from the same revision"
        )
    for name, shape in expected.items():
        if tuple(weights[name].shape) != shape:
            raise CheckpointError(
                f"{file} does not fit its {CONFIG}: {name} is {list(weights[name].shape)}, not {list(shape)}; "
                "copy both from the same revision"
            )
        if not weights[name].is_floating_point() or not bool(torch.isfinite(weights[name]).all()):
            raise CheckpointError(f"{file}: {name} holds what is no finite number; copy the checkpoint again")
    # in memory of its own: what was read is the file itself, which somebody may overwrite while the model serves
    own = {name: value.to(torch.float32, copy=True) for name, value in weights.items()}
    model.load_state_dict(own, assign=True)
    model.requires_grad_(requires_grad=False)
    return model.eval()


def _tensors(files: Sequence[Path]) -> dict[str, Tensor]:
    """By the model's own names: what it was wrapped in when it was trained is no part of them."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    tensors = dict[str, Tensor]()
    for file in files:
        try:
            tensors |= load_file(file)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{file} is truncated or no safetensors file ({error}): copy it again") from error
    for wrapper in _WRAPPERS:
        if tensors and all(name.startswith(wrapper) for name in tensors):
            tensors = {name.removeprefix(wrapper): value for name, value in tensors.items()}
    return tensors


def _some(verb: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"it {verb} {', '.join(names[:3])}{more}; "

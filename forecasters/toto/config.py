"""What a checkpoint's config.json says about its network, checked. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from forecasters.kronos.files import CONFIG, CheckpointError

_LARGEST = 2**16  # of anything that is counted: names alone of a million layers take all memory
SHOWN = 4  # of what is missing or wrong, in a message
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # of Toto 2.0's head; not in its config
_SCALER = "CausalPatchStdMeanScaler"
_HEAD = "MixtureOfStudentTsOutput"


@dataclass(frozen=True, slots=True, kw_only=True)
class Toto1Config:
    """Toto 1.0: patches of `patch_size` steps, a mixture of `components` Student-T distributions a step."""

    patch_size: int
    width: int
    heads: int
    mlp_width: int
    components: int
    over_variates: tuple[bool, ...]  # a layer: attention over variates, else over time
    global_exponent: float | None  # each scale within 10^+-exponent of the whole context's; None: no such bound

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def time_layers(self) -> int:
        return self.over_variates.count(False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Toto2Config:
    """Toto 2.0: unit-scaled products, nine quantiles a step."""

    patch_size: int
    width: int
    heads: int
    key_heads: int
    query_width: int  # of one head's queries and keys
    value_width: int
    mlp_width: int
    over_variates: tuple[bool, ...]
    norm_eps: float
    attention_bias: bool
    mlp_bias: bool
    norm_weights: bool
    query_norm: bool
    query_norm_weights: bool
    query_scale: bool  # learned, one for each dimension of a head
    xpos: bool
    levels: tuple[float, ...] = LEVELS


def read_config(folder: Path) -> Mapping[str, object]:
    """The config of a checkpoint's folder. Raises CheckpointError."""
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} can't be read: {error}") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path} holds a {type(config).__name__}, not a config")
    return config


def is_first(config: Mapping[str, object]) -> bool:
    """Whether it is Toto 1.0 rather than 2.0. CheckpointError where it is neither."""
    first = "embed_dim" in config and "spacewise_every_n_layers" in config
    second = "d_model" in config and "layer_group_size" in config and "patch_size" in config
    if first == second:
        raise CheckpointError(
            f"not the config of a Toto 1.0 or 2.0: it has {', '.join(sorted(config)[:8]) or 'nothing'}"
        )
    return first


def first_config(config: Mapping[str, object]) -> Toto1Config:
    """Raises CheckpointError where the config is not one that this port computes."""
    read = _Reader(config)
    patch, layers, every = (read.count(name) for name in ("patch_size", "num_layers", "spacewise_every_n_layers"))
    read.demand("stride", read.count("stride") == patch, "patches that overlap")
    read.demand("scaler_cls", _SCALER in str(config.get("scaler_cls")), "another scaler")
    read.demand("output_distribution_classes", _HEAD in str(config.get("output_distribution_classes")), "another head")
    width, heads = read.count("embed_dim"), read.count("num_heads")
    read.demand("num_heads", width % heads == 0 and (width // heads) % 2 == 0, "heads that don't divide the width")
    read.demand("num_layers", layers % every == 0, "an unfinished group of layers")
    components = _Reader(read.mapping("output_distribution_kwargs")).count("k_components")
    return Toto1Config(
        patch_size=patch,
        width=width,
        heads=heads,
        mlp_width=read.count("mlp_hidden_dim"),
        components=components,
        over_variates=_axes(layers, every, 1, first=read.flag("spacewise_first", default=True)),
        global_exponent=read.number("scale_factor_exponent", 10.0)
        if read.flag("stabilize_with_global", default=True)
        else None,
    )


def second_config(config: Mapping[str, object]) -> Toto2Config:
    """Raises CheckpointError where the config is not one that this port computes."""
    read = _Reader(config)
    width, heads, layers = (read.count(name) for name in ("d_model", "num_heads", "num_layers"))
    group, variate_layers = read.count("layer_group_size"), read.count("num_variate_layers_per_group")
    key_heads = read.count("num_groups", heads)
    query_width = read.count("qk_dim", width // heads)
    read.demand("num_output_patches", read.count("num_output_patches", 1) == 1, "several patches a step")
    read.demand("num_layers", layers % group == 0 and variate_layers < group, "no layer over time in a group")
    read.demand("num_groups", heads % key_heads == 0, "heads that share keys unevenly")
    read.demand("qk_dim", query_width % 4 == 0, "a half of a head's width that is odd")
    norm_weights = read.flag("norm_include_weight", default=False)
    return Toto2Config(
        patch_size=read.count("patch_size"),
        width=width,
        heads=heads,
        key_heads=key_heads,
        query_width=query_width,
        value_width=read.count("v_dim", query_width),
        mlp_width=read.count("d_ff", (int(8 * width / 3) + 7) // 8 * 8),
        over_variates=_axes(layers, group, variate_layers, first=read.flag("variate_layer_first", default=False)),
        norm_eps=read.number("norm_eps", 5e-5),
        attention_bias=read.flag("attn_bias", default=False),
        mlp_bias=read.flag("mlp_bias", default=False),
        norm_weights=norm_weights,
        query_norm=read.flag("qk_norm", default=True),
        query_norm_weights=read.flag("qk_norm_include_weight", default=norm_weights),
        query_scale=read.flag("per_dim_scale", default=False),
        xpos=read.flag("use_xpos", default=False),
    )


def _axes(layers: int, group: int, variate_layers: int, *, first: bool) -> tuple[bool, ...]:
    """Which layers look over variates: the first, or else the last, ones of each group."""
    start = 0 if first else group - variate_layers
    return tuple(start <= layer % group < start + variate_layers for layer in range(layers))


@dataclass(frozen=True, slots=True)
class _Reader:
    config: Mapping[str, object]

    def count(self, name: str, default: int | None = None) -> int:
        value = self.config.get(name)
        value = default if value is None else value
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _LARGEST:
            raise CheckpointError(f"config: {name} is {value!r}, not a whole number from 1 to {_LARGEST}")
        return value

    def number(self, name: str, default: float) -> float:
        value = self.config.get(name, default)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not value > 0:
            raise CheckpointError(f"config: {name} is {value!r}, not a positive number")
        return float(value)

    def flag(self, name: str, *, default: bool) -> bool:
        value = self.config.get(name)
        value = default if value is None else value
        if not isinstance(value, bool):
            raise CheckpointError(f"config: {name} is {value!r}, not true or false")
        return value

    def mapping(self, name: str) -> Mapping[str, object]:
        value = self.config.get(name)
        if not isinstance(value, dict):
            raise CheckpointError(f"config: {name} is {value!r}, not a group of values")
        return value

    def demand(self, name: str, holds: bool, otherwise: str) -> None:
        if not holds:
            raise CheckpointError(f"config: {name} {self.config.get(name)!r} means {otherwise}, which is not supported")

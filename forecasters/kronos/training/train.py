"""Bars in, a checkpoint folder out.

    folder/tokenizer, folder/network    config.json and model.safetensors each: what `load_kronos` takes
    folder/card.json                    until when it has learned each symbol's bars: `forecasters.card`
    folder/training/recipe.json         what decides the outcome; another one in the same folder is refused
    folder/training/*.safetensors       where an interrupted training goes on
    folder/training/curve.json          the figures along the way

The configs hold the constructor arguments of the published code, and max_context.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from forecasters.card import Learned, later
from forecasters.card import write as write_card
from forecasters.kronos.files import CONFIG, WEIGHTS
from forecasters.kronos.hub import locate
from forecasters.kronos.model import Network, NetworkConfig, RMSNorm
from forecasters.kronos.sizes import Shape
from forecasters.kronos.tokenizer import Tokenizer, TokenizerConfig
from forecasters.kronos.training.beginning import begin_network, begin_tokenizer, can_begin
from forecasters.kronos.training.losses import Order, Quantiser, TokenizerLoss, network_loss, tokenizer_loss
from forecasters.kronos.training.recipe import Recipe, TrainingError
from forecasters.kronos.training.stage import Observer, Point, Stage, run
from forecasters.kronos.training.windows import Batch, TrainingSeries, Windows, fingerprint, split
from forecasters.kronos.weights import load

_RECIPE = Path("training", "recipe.json")
_VALIDATION_BATCHES = 12
_BEGINNING_BATCHES = 12
_IN_CONTEXT_UNTIL = 2 / 3  # of the steps: from there on only what is behind the context is learned


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """`finished` is False where it was stopped: the same call goes on."""

    folder: Path
    finished: bool
    curve: tuple[Point, ...]
    parameters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Models:
    tokenizer: Tokenizer
    network: Network
    shape: Shape
    learned_to: Learned


def train(
    series: Sequence[TrainingSeries],
    recipe: Recipe,
    folder: Path,
    *,
    begin: Shape | str,
    device: str = "cpu",
    observe: Observer = lambda point: None,
    stop: Callable[[], bool] = lambda: False,
) -> Trained:
    """Trains the tokenizer, then the network on its tokens, or goes on where `folder` stands.

    begin    shapes for random weights, or the checkpoint to begin from: a folder or a hub name
    observe  told of every step
    stop     asked between steps

    Raises TrainingError, CheckpointError.
    """
    training, validation = split(series, recipe)
    batches = Windows(training, recipe), Windows(validation, recipe)
    description = _description(series, recipe, begin)
    _refuse_another(folder, description)
    models = _fresh(begin, recipe.seed, batches[0]) if isinstance(begin, Shape) else _loaded(begin)
    learned = later(_learned_of(validation), models.learned_to)
    _check_room(models.shape, recipe)
    _write_text(folder / _RECIPE, json.dumps(description, indent=1))
    tokenizer, network = models.tokenizer.to(device), models.network.to(device)
    curve: list[Point] = []
    for stage in (
        _tokenizer_stage(tokenizer, Quantiser.of(models.shape.tokenizer), recipe, *batches),
        _network_stage(network, tokenizer, recipe, *batches),
    ):
        state = run(stage, recipe, folder / "training" / f"{stage.name}.safetensors", observe, stop)
        curve += state.curve if state is not None else ()
        if state is None:
            break
    else:
        _write(folder / "tokenizer", models.shape.tokenizer, tokenizer)
        _write(folder / "network", models.shape.network, network)
        write_card(folder, learned, {"from": _from(begin), "series": [series_of.name for series_of in training]})
    _write_text(folder / "training" / "curve.json", json.dumps([asdict(point) for point in curve], indent=1))
    count = sum(parameter.numel() for model in (tokenizer, network) for parameter in model.parameters())
    return Trained(folder=folder, finished=state is not None, curve=tuple(curve), parameters=count)


def _fresh(shape: Shape, seed: int, training: Windows) -> _Models:
    """Random weights, distributed as in the published code, with a readable code where there is room for one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = Tokenizer(TokenizerConfig(**_sizes(shape.tokenizer, TokenizerConfig)))
        network = Network(NetworkConfig(**_sizes(shape.network, NetworkConfig)))
        for module in network.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=network.config.d_model**-0.5)
            elif isinstance(module, RMSNorm):
                nn.init.ones_(module.weight)
        if can_begin(tokenizer):
            beginnings = [
                training.batch("beginning", index).values.reshape(-1, 6) for index in range(_BEGINNING_BATCHES)
            ]
            begin_tokenizer(tokenizer, np.concatenate(beginnings))
            begin_network(network, torch.Generator().manual_seed(seed))
    return _Models(tokenizer=tokenizer, network=network, shape=shape, learned_to={})


def _learned_of(validation: Sequence[TrainingSeries]) -> Learned:
    """Of recorded bars. The newest ones chose which of the weights are kept, so that those count as learned."""
    found: dict[str, datetime] = {}
    for each in validation:
        if each.symbol:
            found[each.symbol] = max(each.until, found.get(each.symbol, each.until))
    return found


def _from(begin: Shape | str) -> str:
    return "random weights" if isinstance(begin, Shape) else begin


def _sizes(config: Mapping[str, object], kind: type[TokenizerConfig] | type[NetworkConfig]) -> dict[str, int]:
    return {name: int(str(config[name])) for name in kind.__dataclass_fields__}


def _loaded(model_id: str) -> _Models:
    located = locate(model_id)
    checkpoint = load(located)
    tokenizer = json.loads((located.tokenizer / CONFIG).read_text(encoding="utf-8"))
    network = json.loads((located.network / CONFIG).read_text(encoding="utf-8"))
    shape = Shape(tokenizer=tokenizer, network={**network, "max_context": checkpoint.max_context})
    return _Models(
        tokenizer=checkpoint.tokenizer, network=checkpoint.network, shape=shape, learned_to=located.learned_to
    )


def _check_room(shape: Shape, recipe: Recipe) -> None:
    most = int(str(shape.network["max_context"]))
    if recipe.longest_context + recipe.horizon > most:
        raise TrainingError(
            f"a context of {recipe.longest_context} and a horizon of {recipe.horizon} bars are more than the "
            f"{most} that this network sees: shorten one of them"
        )


def _description(series: Sequence[TrainingSeries], recipe: Recipe, begin: Shape | str) -> dict[str, Any]:
    first = {"tokenizer": dict(begin.tokenizer), "network": dict(begin.network)} if isinstance(begin, Shape) else begin
    bars = {"series": len(series), "bars": sum(len(each) for each in series), "fingerprint": fingerprint(series)}
    return {"recipe": asdict(recipe), "begin": first, "bars": bars}


def _refuse_another(folder: Path, description: Mapping[str, Any]) -> None:
    """One folder, one training. Raises TrainingError where another one's state lies there."""
    file = folder / _RECIPE
    if not file.is_file():
        return
    there = json.loads(file.read_text(encoding="utf-8"))
    differences = [
        f"{name} {old!r}, not {new!r}"
        for part in ("recipe", "bars")
        for name, new in description[part].items()
        if (old := there.get(part, {}).get(name)) != new
    ]
    if there.get("begin") != description["begin"]:
        differences.append("other weights to begin from")
    if differences:
        raise TrainingError(
            f"{folder} holds a training with {'; '.join(differences[:3])}: go on with those, or write to another folder"
        )


def _tokenizer_stage(
    tokenizer: Tokenizer, quantiser: Quantiser, recipe: Recipe, training: Windows, validation: Windows
) -> Stage:
    device = tokenizer.head.weight.device
    tokenizer.requires_grad_(requires_grad=True)
    if not recipe.learn_code:
        for part in (tokenizer.embed, tokenizer.encoder, tokenizer.quant_embed):
            part.requires_grad_(requires_grad=False)

    def loss_of(batch: Batch, seed: int) -> TokenizerLoss:
        order = _order(recipe, batch, seed, device) if recipe.order_weight else None
        values = torch.from_numpy(batch.values).to(device)
        return tokenizer_loss(tokenizer, values, quantiser, price_weight=recipe.price_weight, order=order)

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        step_loss = loss_of(training.batch("tokenizer", step), step)
        return step_loss.total, {
            "coarse": step_loss.coarse.item(),
            "full": step_loss.full.item(),
            "code": step_loss.code.item(),
        }

    def validate() -> dict[str, float]:
        losses = []
        for index, batch in enumerate(validation.fixed("tokenizer", _VALIDATION_BATCHES)):
            batch_loss = loss_of(batch, index)
            losses.append((batch_loss.total.item(), batch_loss.coarse.item(), batch_loss.full.item()))
        return _averages(("score", "coarse", "full"), losses)

    return Stage(
        name="tokenizer",
        model=tokenizer,
        steps=recipe.tokenizer_steps,
        rate=recipe.tokenizer_rate,
        limit=2.0,
        betas=(0.9, 0.999),
        loss=loss,
        validate=validate,
    )


def _order(recipe: Recipe, batch: Batch, seed: int, device: torch.device) -> Order:
    return Order(
        weight=recipe.order_weight,
        mean=torch.from_numpy(batch.mean).to(device),
        spread=torch.from_numpy(batch.spread).to(device),
        draws=torch.Generator().manual_seed(recipe.seed * 1_000_003 + seed),
    )


def _network_stage(
    network: Network, tokenizer: Tokenizer, recipe: Recipe, training: Windows, validation: Windows
) -> Stage:
    device = network.head.proj_s1.weight.device
    network.requires_grad_(requires_grad=True)

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        progress = step / max(1, recipe.steps)
        draws = torch.Generator(device).manual_seed(recipe.seed + step) if recipe.sampled_s1 else None
        batch_loss = network_loss(
            network,
            *_tokens(tokenizer, batch := training.batch("network", step), device),
            context=batch.context,
            context_share=recipe.context_share * max(0.0, 1 - progress / _IN_CONTEXT_UNTIL),
            draws=draws,
        )
        return batch_loss.total, {"s1": batch_loss.s1.item(), "s2": batch_loss.s2.item()}

    def validate() -> dict[str, float]:
        losses = []
        for batch in validation.fixed("network", _VALIDATION_BATCHES):
            batch_loss = network_loss(network, *_tokens(tokenizer, batch, device), context=batch.context)
            losses.append((batch_loss.total.item(), batch_loss.s1.item(), batch_loss.s2.item()))
        return _averages(("score", "s1", "s2"), losses)

    return Stage(
        name="network",
        model=network,
        steps=recipe.steps,
        rate=recipe.network_rate,
        limit=3.0,
        betas=(0.9, 0.95),
        loss=loss,
        validate=validate,
    )


def _tokens(tokenizer: Tokenizer, batch: Batch, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """s1, s2 [B, W] and the calendar [B, W, 5]."""
    with torch.no_grad():
        s1, s2 = tokenizer.encode(torch.from_numpy(batch.values).to(device))
    return s1, s2, torch.from_numpy(batch.stamps).to(device)


def _averages(names: Sequence[str], rows: Sequence[Sequence[float]]) -> dict[str, float]:
    return {name: sum(column) / len(rows) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def _write(folder: Path, config: Mapping[str, object], model: nn.Module) -> None:
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"{WEIGHTS}.draft"
    save_file({name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}, draft)
    draft.chmod(0o644)  # the daemon may run as another user
    os.replace(draft, folder / WEIGHTS)
    _write_text(folder / CONFIG, json.dumps(dict(config), indent=1) + "\n")


def _write_text(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(file.suffix + ".draft")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, file)

"""One model's training, which may be cut off at any moment and goes on as if it had not been.

Between two saved states nothing is kept but in memory; a state is written whole or not at all. Batches, rates and draws
follow from the step, so the same steps give the same weights, interrupted or not (to the last bit on one thread).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from forecasters.kronos.training.recipe import Recipe, TrainingError

_WARM_UP = 0.03  # of the steps, from a tenth of the rate to the whole; then down by a cosine
_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A place on the curves: `figures` by name, those with `validation ` before it from bars never learned from."""

    stage: str
    step: int
    steps: int
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """
    loss      of a step: what is minimised, and figures for the curve
    validate  -> figures; `score` among them is the one that the weights which are kept have lowest
    limit     of the gradient's norm
    betas     of the optimiser (AdamW)
    """

    name: str
    model: nn.Module
    steps: int
    rate: float
    limit: float
    betas: tuple[float, float]
    loss: Callable[[int], tuple[Tensor, dict[str, float]]]
    validate: Callable[[], dict[str, float]]


@dataclass(slots=True, kw_only=True)
class State:
    step: int = 0
    best_score: float = math.inf
    best: dict[str, Tensor] = field(default_factory=dict)
    curve: list[Point] = field(default_factory=list)


Observer = Callable[[Point], None]


def run(stage: Stage, recipe: Recipe, file: Path, observe: Observer, stop: Callable[[], bool]) -> State | None:
    """Trains to the last step and leaves the best weights in the model; None where `stop` said so before.

    Either way `file` holds where it stands. Raises TrainingError.
    """
    learned = [parameter for parameter in stage.model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(learned, lr=stage.rate, betas=stage.betas, weight_decay=recipe.weight_decay)
    state = State()
    if file.is_file():
        state = _load(file, stage.model, optimiser)
    elif stage.steps:
        _validated(stage, state, {}, observe)  # where it begins
    while state.step < stage.steps:
        if stop():
            _save(file, stage.model, optimiser, state)
            return None
        figures = _step(stage, state.step, optimiser)
        state.step += 1
        if state.step % recipe.validate_every == 0 or state.step == stage.steps:
            _validated(stage, state, figures, observe)
        else:
            observe(Point(stage=stage.name, step=state.step, steps=stage.steps, figures=figures))
        if state.step % recipe.save_every == 0 or state.step == stage.steps:
            _save(file, stage.model, optimiser, state)
    if state.best:
        stage.model.load_state_dict(state.best)
    return state


def rate_at(step: int, steps: int, rate: float) -> float:
    rise = max(1, round(steps * _WARM_UP))
    if step < rise:
        return rate * (0.1 + 0.9 * step / rise)
    return rate * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def _step(stage: Stage, step: int, optimiser: torch.optim.Optimizer) -> dict[str, float]:
    for group in optimiser.param_groups:
        group["lr"] = rate_at(step, stage.steps, stage.rate)
    loss, figures = stage.loss(step)
    if not bool(torch.isfinite(loss)):
        raise TrainingError(f"{stage.name}: the loss of step {step} is not finite: lower its rate")
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(stage.model.parameters(), max_norm=stage.limit)
    optimiser.step()
    return figures


def _validated(stage: Stage, state: State, figures: Mapping[str, float], observe: Observer) -> None:
    with torch.no_grad():
        scores = stage.validate()
    if scores["score"] < state.best_score:
        state.best_score = scores["score"]
        state.best = {name: value.detach().clone() for name, value in stage.model.state_dict().items()}
    all_figures = {**figures, **{f"validation {name}": value for name, value in scores.items()}}
    point = Point(stage=stage.name, step=state.step, steps=stage.steps, figures=all_figures)
    state.curve.append(point)
    observe(point)


def _save(file: Path, model: nn.Module, optimiser: torch.optim.Optimizer, state: State) -> None:
    from safetensors.torch import save_file

    tensors = {f"weights/{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"best/{name}": value for name, value in state.best.items()}
    for name, parameter in model.named_parameters():
        for moment in _MOMENTS if optimiser.state.get(parameter) else ():
            tensors[f"{moment}/{name}"] = optimiser.state[parameter][moment]
    curve = [{"stage": p.stage, "step": p.step, "steps": p.steps, "figures": dict(p.figures)} for p in state.curve]
    notes = {"step": state.step, "best_score": state.best_score, "curve": curve}
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".draft")
    save_file({name: value.contiguous() for name, value in tensors.items()}, draft, {"notes": json.dumps(notes)})
    os.replace(draft, file)


def _load(file: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> State:
    from safetensors import SafetensorError, safe_open

    device = str(next(model.parameters()).device)
    try:
        with safe_open(file, "pt", device=device) as archive:
            notes: dict[str, Any] = json.loads(archive.metadata()["notes"])
            tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
        model.load_state_dict(_named(tensors, "weights"))
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        raise TrainingError(f"{file} is no state of this training ({error}): delete it to begin anew") from error
    moments = {moment: _named(tensors, moment) for moment in _MOMENTS}
    for name, parameter in model.named_parameters():
        if name in moments["exp_avg"]:
            optimiser.state[parameter] = {
                "step": torch.tensor(float(notes["step"])),
                **{moment: values[name] for moment, values in moments.items()},
            }
    curve = [Point(**point) for point in notes["curve"]]
    return State(step=notes["step"], best_score=notes["best_score"], best=_named(tensors, "best"), curve=curve)


def _named(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.partition("/")[2]: value for name, value in tensors.items() if name.startswith(f"{prefix}/")}

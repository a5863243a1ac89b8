"""What decides a training's outcome, given bars and shape: steps, rates, seed. All of it is kept beside the result."""

from __future__ import annotations

from dataclasses import dataclass, replace

from forecasters.base import ForecastError
from forecasters.kronos.sizes import Shape

MAX_CONTEXT = 512  # tokens that a network of ours is trained to see
SHORTEST_CONTEXT = 32


class TrainingError(ForecastError):
    """A training that can't be done as asked. The message says what would do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """
    steps, tokenizer_steps  of the optimiser; 0 leaves that model as it is (only with a checkpoint to begin from)
    tokens                  bars a step, over all its windows
    horizon                 bars behind each context, on which the forecast is learned
    shortest_context, longest_context  bars; each step draws its length between them, evenly by its logarithm
    context_share           how much the network's loss inside the context counts at the beginning, against 1 behind it;
                            it falls to 0 at two thirds of the way. The published code counts all alike to the end.
    price_weight            of the four prices in the tokenizer's reconstruction, against 1 for volume and amount
    order_weight            of what a decoded high lies below its open and close, and a low above, in the close's spread
    learn_code              whether the tokenizer's encoder is learned, or the decoder alone
    sampled_s1              learn s2 given a drawn s1, as the published fine-tuning does; else given the true one
    validation_share        the newest part of each series, which is never learned from
    validate_every          steps
    save_every              steps between the states that an interrupted training goes on from
    """

    seed: int = 0
    steps: int = 1000
    tokenizer_steps: int = 500
    tokens: int = 8192
    horizon: int = 48
    shortest_context: int = SHORTEST_CONTEXT
    longest_context: int = MAX_CONTEXT - 48
    network_rate: float = 1e-3
    tokenizer_rate: float = 1e-3
    weight_decay: float = 0.1
    context_share: float = 1.0
    price_weight: float = 1.0
    order_weight: float = 0.0
    learn_code: bool = True
    sampled_s1: bool = False
    clip: float = 5.0
    validation_share: float = 0.1
    validate_every: int = 100
    save_every: int = 100

    def __post_init__(self) -> None:
        for name in ("horizon", "tokens", "validate_every", "save_every"):
            if getattr(self, name) < 1:
                raise TrainingError(f"{name} is {getattr(self, name)}, must be at least 1")
        for name in ("steps", "tokenizer_steps", "seed"):
            if getattr(self, name) < 0:
                raise TrainingError(f"{name} is {getattr(self, name)}, must not be negative")
        if not 0 < self.validation_share < 1:
            raise TrainingError(f"validation_share is {self.validation_share}, must lie between 0 and 1")
        if min(self.longest_context, self.shortest_context) < SHORTEST_CONTEXT:
            raise TrainingError(f"contexts of training must have at least {SHORTEST_CONTEXT} bars")
        if self.tokens < self.horizon + self.longest_context:
            raise TrainingError(f"{self.tokens} tokens a step hold no window of context and horizon: raise it")


FRESH = Recipe(
    tokens=2048,
    horizon=64,
    shortest_context=128,
    longest_context=MAX_CONTEXT - 64,
    network_rate=3e-3,
    tokenizer_rate=2e-3,
    price_weight=10.0,
    order_weight=0.2,
    learn_code=False,
    steps=1500,
    tokenizer_steps=400,
)
"""For random weights of the small sizes: the forecast is of prices, and the code that they begin with is kept."""

FURTHER = Recipe(tokens=4096, network_rate=4e-5, tokenizer_rate=2e-4, steps=1000, tokenizer_steps=300)
"""For weights that are trained already: the rates of the published fine-tuning."""


def fresh(shape: Shape) -> Recipe:
    """FRESH, at a rate that falls with the network's width."""
    return replace(FRESH, network_rate=FRESH.network_rate * (64 / shape.network["d_model"]) ** 0.5)

"""What a loaded Toto can be asked, whichever generation it is. V variates, T steps, H horizon, S samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from forecasters.base import ForecastError
from forecasters.toto.inputs import Array, Mask


class WrongGeneration(ForecastError):
    """Asked for what the other generation gives."""


class Toto:
    """A model in memory. `generation` is 1 or 2; each answers its own questions and refuses the other's.

    series  [V, T] float32, finite, 0 where missing; the last step is the newest
    mask    [V, T] bool, True where observed
    groups  a number for each variate: those of one number see each other; all do where it is None
    Results are arrays of the kind that `series` is.
    """

    generation: int
    patch: int  # steps

    def quantiles(
        self,
        series: Array,
        mask: Mask,
        horizon: int,
        *,
        groups: Sequence[int] | None = None,
        decode_block_size: int | None = None,
    ) -> Array:
        """[9, V, H] at levels 0.1 to 0.9, non-decreasing.

        decode_block_size  steps that are forecast at once, each block given the medians of those before it; None is
                           all of them. Beyond a thousand steps or so it is faster, and another forecast.
        """
        self._refuse("quantiles", "sample")

    def mean(self, series: Array, mask: Mask, horizon: int, *, groups: Sequence[int] | None = None) -> Array:
        """[V, H] the mean of each step given the means before it."""
        self._refuse("a mean", "quantiles")

    def sample(
        self,
        series: Array,
        mask: Mask,
        horizon: int,
        *,
        samples: int,
        seed: int,
        samples_per_batch: int | None = None,
        groups: Sequence[int] | None = None,
        together: bool = False,
    ) -> Array:
        """[S, V, H] joint paths. The same seed, and samples at once, give the same paths.

        They are those that the original draws after torch.manual_seed(seed), on the same kind of device.

        together  the variates of a sample share its luck, step by step, where the original draws each on its own:
                  for variates that move as one, as the prices of a bar do. Drawn in another way, which is faster
        """
        self._refuse("samples", "quantiles")

    def _refuse(self, asked: str, instead: str) -> NoReturn:
        raise WrongGeneration(f"Toto {self.generation}.0 gives no {asked.removeprefix('a ')}: ask for {instead}")

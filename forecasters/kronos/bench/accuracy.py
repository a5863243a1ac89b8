"""What bfloat16 costs: on the same bars and weights, against float32."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecasters.kronos.bench.cells import CONTEXT, HORIZON, Market
from forecasters.kronos.generate import Kronos, Series
from forecasters.kronos.sampling import Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """s1_total_variation  between the distributions of the next s1, worst and mean over the series
    logit_difference       the largest, of s1 and s2
    greedy_agreement       share of the greedy tokens that are the same, until the first that is not
    """

    s1_total_variation_mean: float
    s1_total_variation_worst: float
    logit_difference: float
    greedy_agreement: float


def accuracy(exact: Kronos, close: Kronos, market: Market) -> Accuracy:
    variations, differences, shares = [], [], []
    past, future = market.times[:CONTEXT], market.times[CONTEXT : CONTEXT + HORIZON]
    for bars in market.bars:
        exact_logits, close_logits = exact.logits(bars, past), close.logits(bars, past)
        variations.append(0.5 * np.abs(_softmax(exact_logits[0]) - _softmax(close_logits[0])).sum())
        differences.append(np.abs(exact_logits[0] - close_logits[0]).max())
        if exact_logits[0].argmax() == close_logits[0].argmax():  # else s2 is asked about another s1
            differences.append(np.abs(exact_logits[1] - close_logits[1]).max())
        series, greedy = Series(bars=bars, times=past, future_times=future), Sampling(greedy=True)
        same = np.equal(exact.draw(series, greedy, samples=1), close.draw(series, greedy, samples=1)).all(axis=(0, 1))
        shares.append(float(np.logical_and.accumulate(same).mean()))
    return Accuracy(
        s1_total_variation_mean=float(np.mean(variations)),
        s1_total_variation_worst=float(np.max(variations)),
        logit_difference=float(np.max(differences)),
        greedy_agreement=float(np.mean(shares)),
    )


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    weights = np.exp(logits.astype(np.float64) - logits.max())
    return np.asarray(weights / weights.sum())

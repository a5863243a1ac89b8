"""The strategy in a backtest: one that raises ends the run, in a line that says where.

A daemon goes on without it, for its exits do not depend on it. A backtest of a strategy that fails is worth nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence

from trader.core.decision import DecisionInputs, Signal
from trader.core.names import shown_strategy
from trader.daemon.parameters import decider
from trader.errors import ConfigurationError, TraderError
from trader.strategies import find
from trader.strategies._faults import described


def strict_decider(name: str, params: Mapping[str, str]) -> Callable[[DecisionInputs], Sequence[Signal]]:
    """As `decider`; whatever the strategy raises is ConfigurationError."""
    decide = decider(name, params)

    def decided(inputs: DecisionInputs) -> Sequence[Signal]:
        try:
            return decide(inputs)
        except TraderError:
            raise
        except Exception as error:
            file = getattr(sys.modules.get(find(name).module), "__file__", None) or ""
            raise ConfigurationError(
                f"strategy {shown_strategy(name)} failed at {inputs.now:%Y-%m-%d %H:%M}Z: {described(error, file)}"
            ) from error

    return decided

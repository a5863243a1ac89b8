"""The strategy under a deadline, on a thread of its own: it is a plug-in, and may raise or never come back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from trader.core.decision import DecisionInputs, Signal
from trader.core.signals import sound_signals
from trader.errors import StrategyFailed

Decide = Callable[[DecisionInputs], Sequence[Signal]]
ALARM_AFTER = (3, 10, 30, 100, 300, 1000)  # cycles in a row: said again, ever more rarely


class GuardedStrategy:
    """Calls `decide`; whatever goes wrong with it is StrategyFailed.

    A call that hangs can't be ended from outside. It is given up, and until it comes back no other one is begun.
    """

    def __init__(self, decide: Decide, deadline_s: float) -> None:
        self._decide = decide
        self._deadline_s = deadline_s
        self._hanging: threading.Thread | None = None

    def __call__(self, inputs: DecisionInputs) -> Sequence[Signal]:
        if self._hanging is not None and self._hanging.is_alive():
            raise StrategyFailed("the strategy has still not come back from an earlier cycle")
        self._hanging = None
        answers: list[Sequence[Signal]] = []
        failures: list[BaseException] = []

        def work() -> None:
            try:
                answers.append(self._decide(inputs))
            except BaseException as error:  # noqa: BLE001  SystemExit, too: it is not for a strategy to end the daemon
                failures.append(error)

        thread = threading.Thread(target=work, name="strategy", daemon=True)
        thread.start()
        thread.join(self._deadline_s)
        if thread.is_alive():
            self._hanging = thread
            raise StrategyFailed(f"the strategy has not answered within {self._deadline_s:g} s")
        if failures:
            error = failures[0]
            raise StrategyFailed(f"the strategy failed: {type(error).__name__}: {error}") from error
        return answers[0]


class Signals:
    """What the strategy says, but what can't be meant; told of at once, and then rarely."""

    def __init__(self, alert: Callable[[str, str, str], None], say: Callable[[str, str], None]) -> None:
        self._alert = alert
        self._say = say
        self._failed = self._unsound = 0  # cycles in a row

    def signals(self, decide: Decide, inputs: DecisionInputs) -> Sequence[Signal]:
        """None where it fails: that costs this cycle's entries."""
        try:
            told = decide(inputs)
        except StrategyFailed as error:
            self._failed += 1
            if self._failed in (1, *ALARM_AFTER):
                count = f" ({self._failed} cycles in a row)" if self._failed > 1 else ""
                self._alert("strategy", "error", f"{error}{count}: nothing is entered, exits go on")
            return ()
        sound, unsound = sound_signals(told)
        for problem in unsound:
            self._say("denied", f"signal: {problem}")
        if not unsound and (self._failed or self._unsound):
            self._alert("strategy", "info", "over: the strategy answers again, and what it says can be meant")
        self._failed = 0
        self._unsound = self._unsound + 1 if unsound else 0
        if self._unsound in (1, *ALARM_AFTER):
            self._alert("strategy", "warning", f"{len(unsound)} signals can't be meant: {unsound[0]}")
        return sound

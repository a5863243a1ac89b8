"""A backend in a process of its own, seen from the trading process: a Forecaster that can be late or die, not harm.

    worker = Worker(WorkerSettings(backend="baseline"))
    worker.warm_up()                 # starts it and waits
    worker.forecast(contexts)        # within its deadline, or ForecastError
    worker.close()

One thread supervises: it starts the child, warms it up, and starts it again after a failure, ever more slowly. The
thread that calls `forecast` only talks on a socket; at its deadline it kills the child and returns. This module, all
that the trading process needs, imports numpy and the standard library only; `python -m forecasters.worker` is the
child.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType

from forecasters.base import ForecastError, Mended, Notice
from forecasters.compiled.forced import Forced
from forecasters.progress import Listener
from forecasters.types import Context, Forecast
from forecasters.worker import wire
from forecasters.worker.session import CONNECT_S, STOP_S, Declined, Health, Session, WorkerSettings
from forecasters.worker.wire import Frame, WireError, WireTimeout

__all__ = ["Health", "Worker", "WorkerSettings", "WorkerState"]

_NOTICES_KEPT = 100
_PATHS = 1024  # of a backend that has no option for it

_log = logging.getLogger(__name__)


class WorkerState(StrEnum):
    IDLE = "idle"  # never started
    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting"  # for the next attempt
    FAILED = "failed"  # for good: the settings are wrong
    CLOSED = "closed"


class Worker:
    """Implements Forecaster. Safe to use from several threads; forecasts are made one at a time."""

    def __init__(
        self,
        settings: WorkerSettings,
        *,
        on_log: Callable[[str], None] | None = None,
        on_progress: Listener | None = None,
    ) -> None:
        """`on_log` gets the child's output by lines (default: our standard error), `on_progress` its warm-up."""
        self.name = settings.backend
        self._settings = settings
        self._on_log = on_log
        self._on_progress = on_progress
        self._turn = threading.Lock()  # held during a conversation
        self._changed = threading.Condition()  # guards all below
        self._state = WorkerState.IDLE
        self._session: Session | None = None
        self._supervisor: threading.Thread | None = None
        self._attempts = 0
        self._failures = 0  # in a row
        self._reason = "not started"
        self._refusals: Mapping[str, str] = MappingProxyType({})
        self._mended: Mapping[str, Mended] = MappingProxyType({})
        self._notices: deque[Notice] = deque(maxlen=_NOTICES_KEPT)

    @property
    def state(self) -> WorkerState:
        return self._state

    @property
    def reason(self) -> str:
        """The last failure, one line."""
        return self._reason

    @property
    def refusals(self) -> Mapping[str, str]:
        """Why symbols of the last `forecast` are absent: the backend says so, or what it sent was not believed."""
        return self._refusals

    @property
    def mended(self) -> Mapping[str, Mended]:
        """Of the symbols of the last `forecast`, how much of what was drawn is not as it was drawn."""
        return self._mended

    def notices(self) -> Sequence[Notice]:
        """What the backend said of itself since the last call, also while it started."""
        heard: list[Notice] = []
        while self._notices:
            heard.append(self._notices.popleft())
        return heard

    def warm_up(self) -> None:
        """Start, and wait for the present or next attempt to end. ForecastError with its reason where it failed.

        After a failure the attempts go on in the background, except where the settings are wrong.
        """
        deadline = time.monotonic() + self._settings.warm_up_deadline_s + CONNECT_S
        with self._changed:
            before = self._attempts
            self._ensure_supervisor()
            done = self._changed.wait_for(
                lambda: self._state is WorkerState.READY or self._is_over() or self._attempts > before,
                timeout=deadline - time.monotonic(),
            )
            if self._state is not WorkerState.READY:
                raise ForecastError(self._reason if done else "the worker did not start within its deadline")

    def forecast(self, contexts: Sequence[Context], deadline_s: float | None = None) -> Mapping[str, Forecast]:
        """One batch, within `deadline_s` (default: the settings'). ForecastError: late, crashed, restarting, refused.

        Forecasts that are invalid, or of other bars than were asked for, are left out (see `refusals`).
        """
        limit_s = self._settings.deadline_s if deadline_s is None else deadline_s
        deadline = time.monotonic() + limit_s
        if not self._turn.acquire(timeout=limit_s):
            raise ForecastError("the worker is busy with another call")
        try:
            self._refusals, self._mended = MappingProxyType({}), MappingProxyType({})
            session = self._ready_session()
            reply = self._converse(session, contexts, limit_s, deadline)
        finally:
            self._turn.release()
        return self._accepted(contexts, reply, session)

    def teacher_forced(self, contexts: Sequence[Context], deadline_s: float | None = None) -> Forced:
        """The network's raw outputs, within `deadline_s`; nothing where it has none. ForecastError as `forecast`."""
        limit_s = self._settings.deadline_s if deadline_s is None else deadline_s
        deadline = time.monotonic() + limit_s
        if not self._turn.acquire(timeout=limit_s):
            raise ForecastError("the worker is busy with another call")
        try:
            return wire.unpack_forced(
                self._converse(self._ready_session(), contexts, limit_s, deadline, kind="teacher_forced")
            )
        finally:
            self._turn.release()

    def ping(self, timeout_s: float = 1.0) -> Health:
        """How the worker is, also while it forecasts. ForecastError where it does not answer."""
        return self._ready_session().ping(time.monotonic() + timeout_s)

    def close(self) -> None:
        """Stop the child and the supervisor. A forecast in another thread ends with ForecastError. Idempotent."""
        with self._changed:
            self._state, self._reason = WorkerState.CLOSED, "the worker is closed"
            session, self._session = self._session, None
            supervisor = self._supervisor
            self._changed.notify_all()
        if session is not None:
            session.end()
        if supervisor is not None and supervisor is not threading.current_thread():
            supervisor.join(3 * STOP_S)

    def _ready_session(self) -> Session:
        with self._changed:
            if self._state is WorkerState.IDLE:
                self._ensure_supervisor()
            if self._state is WorkerState.READY and self._session is not None:
                return self._session
            doing = {WorkerState.WAITING: "restarting", WorkerState.IDLE: "starting"}.get(self._state, self._state)
            raise ForecastError(f"no forecast: the worker is {doing} ({self._reason})")

    def _converse(
        self, session: Session, contexts: Sequence[Context], limit_s: float, deadline: float, *, kind: str = "forecast"
    ) -> Frame:
        request = wire.pack_contexts(contexts)
        # the network's raw outputs are asked for by tools alone, and are as many as it has words
        most = wire.most_for(contexts, _paths(self._settings)) if kind == "forecast" else wire.Most()
        try:
            reply = session.ask(kind, request, limit_s, deadline, listener=None, most=most)
        except WireTimeout as late:
            session.kill()
            raise self._lost(session, f"deadline of {limit_s:g} s passed, the worker was killed") from late
        except WireError as error:
            exit_reason = session.exit_reason()
            session.kill()
            raise self._lost(session, exit_reason or error.reason) from error
        except Declined as declined:
            if declined.ends:
                raise self._lost(session, declined.reason) from declined
            raise ForecastError(declined.reason) from declined
        with self._changed:
            self._failures = 0
        return reply

    def _accepted(self, contexts: Sequence[Context], reply: Frame, session: Session) -> Mapping[str, Forecast]:
        contexts_by_symbol = {context.symbol: context for context in contexts}
        forecasts: dict[str, Forecast] = {}
        refusals: dict[str, str] = {}
        try:
            account = wire.unpack_account(reply.header)
            for symbol, answer in wire.unpack_forecasts(reply):
                problem = (
                    answer.reason
                    if isinstance(answer, ForecastError)
                    else _mismatch(contexts_by_symbol.get(symbol), answer)
                )
                if problem:
                    refusals[symbol] = problem
                elif isinstance(answer, Forecast):
                    forecasts[symbol] = answer
        except WireError as garbage:
            session.kill()
            raise self._lost(session, garbage.reason) from garbage
        absent = contexts_by_symbol.keys() - forecasts.keys()
        own_words = {symbol: why for symbol, why in account.refusals.items() if symbol in absent}
        self._refusals = MappingProxyType({**own_words, **refusals})
        self._mended = MappingProxyType({s: each for s, each in account.mended.items() if s in contexts_by_symbol})
        if refusals and not forecasts:
            raise ForecastError("; ".join(refusals.values())[:2000])
        return forecasts

    def _lost(self, session: Session, reason: str) -> ForecastError:
        """Give the session up, so that the supervisor starts another. Returns the error to raise."""
        with self._changed:
            if self._session is session:
                self._session = None
                self._state = WorkerState.WAITING
                self._failures += 1
                self._reason = reason
                self._changed.notify_all()
            return ForecastError(self._reason if self._state is WorkerState.CLOSED else reason)

    def _ensure_supervisor(self) -> None:
        if self._supervisor is None and self._state is WorkerState.IDLE:
            self._state, self._reason = WorkerState.STARTING, "first start"
            self._supervisor = threading.Thread(target=self._supervise, name=f"{self.name} supervisor", daemon=True)
            self._supervisor.start()

    def _supervise(self) -> None:
        """Lives as long as the worker: the child is killed by the kernel when this thread ends."""
        while not self._is_over():
            session = Session(self._settings, self._on_log, self._notices.append)
            try:
                self._set_state(WorkerState.STARTING)
                self._open(session)
                with self._changed:
                    self._changed.wait_for(lambda s=session: self._session is not s)  # type: ignore[misc]
            except ForecastError as error:
                self._start_failed(session, error)
            except Exception as error:  # noqa: BLE001 - a full disk, no thread to be had: this one must go on trying
                _log.exception("forecaster worker %s could not be started", self.name)
                self._start_failed(session, ForecastError(f"start: {error}"))
            finally:
                session.end()
            with self._changed:
                self._changed.wait_for(self._is_over, self._pause_s())

    def _is_over(self) -> bool:
        return self._state in (WorkerState.CLOSED, WorkerState.FAILED)

    def _pause_s(self) -> float:
        doubled = self._settings.backoff_first_s * 2.0 ** min(max(self._failures - 1, 0), 30)
        return min(doubled, self._settings.backoff_last_s)

    def _open(self, session: Session) -> None:
        """Start, connect, warm up. Raises ForecastError."""
        with self._changed:
            if self._state is WorkerState.CLOSED:
                raise ForecastError(self._reason)
            self._session = session  # so that `close` can end it
        limit_s = self._settings.warm_up_deadline_s
        session.open(on_exit=lambda: self._ended(session), is_wanted=lambda: self._session is session)
        try:
            session.ask("warm_up", Frame({}), limit_s, time.monotonic() + limit_s, listener=self._on_progress)
        except WireTimeout as late:
            session.kill()  # stopped in good order it would not know that it hung
            raise ForecastError(f"warm-up: deadline of {limit_s:g} s passed, the worker was killed") from late
        except WireError as error:
            raise ForecastError(f"warm-up: {session.exit_reason() or error.reason}") from error
        with self._changed:
            if self._session is not session:
                raise ForecastError(f"warm-up: {self._reason}")
            self._state = WorkerState.READY
            self._attempts += 1
            self._changed.notify_all()

    def _start_failed(self, session: Session, error: ForecastError) -> None:
        with self._changed:
            if self._session is session:
                self._session = None
            self._attempts += 1
            if self._state is not WorkerState.CLOSED:
                permanent = isinstance(error, Declined) and error.permanent
                self._state = WorkerState.FAILED if permanent else WorkerState.WAITING
                self._failures += 1
                self._reason = error.reason
                _log.warning("forecaster worker %s: %s", self.name, error.reason)
            self._changed.notify_all()

    def _ended(self, session: Session) -> None:
        """The child is gone: noticed at once, so that it is back before the next forecast is wanted."""
        with self._changed:
            unnoticed = self._session is session and self._state is WorkerState.READY
        if unnoticed:
            self._lost(session, session.exit_reason() or "the worker ended")

    def _set_state(self, state: WorkerState) -> None:
        with self._changed:
            if self._state is not WorkerState.CLOSED:
                self._state = state
                self._changed.notify_all()


def _paths(settings: WorkerSettings) -> int:
    """The most that one answer may hold of a symbol: by the backend's options, whatever it calls them."""
    asked = (value for name, value in settings.options.items() if "sample" in name and type(value) is int)
    return max((_PATHS, *asked))


def _mismatch(context: Context | None, forecast: Forecast) -> str | None:
    """A forecast must be of the bars that were asked for: another series under a ticker's name is the worst kind."""
    if context is None:
        return f"{forecast.symbol}: was not asked for"
    if len(forecast.times) != len(context.future_times) or (forecast.times != context.future_times).any():
        return f"{forecast.symbol}: forecasts other bars than were asked for"
    if not math.isclose(forecast.last_close, context.last_close, rel_tol=1e-6):
        return f"{forecast.symbol}: starts from {forecast.last_close:g}, its last close is {context.last_close:g}"
    return None

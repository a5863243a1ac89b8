"""What a comparison has done so far, so that one that was cut off goes on where it was.

    STATE_DIR/compare/unfinished/KEY/00017.cycle     what both arms answered in one cycle, and how long each took

Kept for KEPT_DAYS after its last cycle: one that nobody goes on with by then is removed when another begins.

The two answers of a cycle are kept together: each speed-up is of one sitting. A file counts only under its own key, its
own number and its own bars, unchanged to the last bit, and what it says is judged as if it had been answered now. What
an arm did wrong goes along: its failures, and what its compiler had to do in earlier sittings.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import trader
from forecasters.compiled.compile_report import CompileReport
from forecasters.types import Context
from settings.schema import Settings
from trader.errors import ConfigurationError
from trader.research.compare.rivals import QuestionResult, Rival
from trader.research.data.store import write_atomically
from trader.research.forecasts.key import Question, question_of
from trader.research.forecasts.sources_of import hash_of_files
from trader.research.forecasts.store import packed, unpacked

FORMAT = 1
KEPT_DAYS = 30
_DIGEST = 32
_ELSEWHERE = {"store", "log", "alerts"}  # settings of where things are kept and told: they change no answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Toll:
    """What an arm's compiler did in the way of its answers, and its process's peak, over all sittings."""

    recompiles: int = 0
    graph_breaks: int = 0
    cudagraph_skips: int = 0
    memory_mb: float = 0.0

    def worse(self, other: Toll) -> Toll:
        """The higher of each."""
        return Toll(**{name: max(mine, getattr(other, name)) for name, mine in asdict(self).items()})

    def on(self, report: CompileReport | None) -> CompileReport | None:
        """A report of this sitting, with what the earlier ones saw."""
        if report is None:
            return None
        return replace(
            report,
            recompiles=self.recompiles + report.recompiles,
            graph_breaks=max(self.graph_breaks, report.graph_breaks),
            cudagraph_skips=self.cudagraph_skips + report.cudagraph_skips,
        )


class Unfinished:
    """The cycles of one comparison that are done. `earlier` is what the arms' compilers did before this sitting."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder / key
        self.taken = 0  # cycles of earlier sittings that this one did not ask again
        self.earlier = (Toll(), Toll())
        self._key = key.encode()

    def __len__(self) -> int:
        """Cycles on the disk, sound or not."""
        return len(list(self.folder.glob("*.cycle")))

    def of(
        self, number: int, contexts: Sequence[Context], rivals: Sequence[Rival]
    ) -> tuple[QuestionResult, QuestionResult] | None:
        """What both answered then; None where that is not known for certain, of exactly these."""
        try:
            found = self._read(number, [question_of(context) for context in contexts], rivals)
        except (OSError, ValueError, KeyError, TypeError):
            return None  # whatever it is: both are asked
        self.taken += 1
        return found

    def keep(
        self,
        number: int,
        contexts: Sequence[Context],
        rivals: Sequence[Rival],
        reports: Sequence[CompileReport | None],
    ) -> None:
        """On the disk when this returns. `reports` are of this sitting so far."""
        questions = {context.symbol: question_of(context) for context in contexts}
        arms: list[Mapping[str, Any]] = []
        parts = b""
        for rival, report, before in zip(rivals, reports, self.earlier, strict=True):
            assert rival.last is not None
            part = packed([(questions[symbol], f) for symbol, f in rival.last.forecasts.items() if symbol in questions])
            now = before.on(report) or CompileReport()
            toll = Toll(
                recompiles=now.recompiles,
                graph_breaks=now.graph_breaks,
                cudagraph_skips=now.cudagraph_skips,
                memory_mb=max(before.memory_mb, rival.memory() or 0.0),
            )
            arms.append(
                {
                    "key": rival.key,
                    "seconds": rival.last.seconds,
                    "failure": rival.last.failure,
                    "size": len(part),
                    "toll": asdict(toll),
                }
            )
            parts += part
        asked = [repr(question) for question in questions.values()]
        head = json.dumps({"number": number, "asked": asked, "arms": arms}).encode()
        payload = len(head).to_bytes(8, "big") + head + parts
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path(number), lambda place: place.write_bytes(self._digest(payload) + payload))

    def prune(self) -> tuple[int, int]:
        """Remove the others that nobody has gone on with for KEPT_DAYS. Returns how many, and their bytes."""
        count, size = 0, 0
        for folder in self.folder.parent.glob("*/"):
            files = [each.stat() for each in folder.glob("*.cycle")]
            newest = max((each.st_mtime for each in files), default=folder.stat().st_mtime)
            if folder == self.folder or newest > time.time() - KEPT_DAYS * 86_400:
                continue
            shutil.rmtree(folder)
            count, size = count + 1, size + sum(each.st_size for each in files)
        return count, size

    def forget(self) -> None:
        """It is finished: the evidence has all that matters."""
        with suppress(OSError):
            shutil.rmtree(self.folder)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:05d}.cycle"

    def _digest(self, payload: bytes) -> bytes:
        """Of this key: a file of another comparison is never taken for one of this."""
        return hashlib.blake2b(payload, key=self._key, digest_size=_DIGEST).digest()

    def _read(
        self, number: int, questions: Sequence[Question], rivals: Sequence[Rival]
    ) -> tuple[QuestionResult, QuestionResult]:
        """Raises OSError, ValueError, KeyError and TypeError."""
        whole = self._path(number).read_bytes()
        payload = whole[_DIGEST:]
        if self._digest(payload) != whole[:_DIGEST]:
            raise ValueError("damaged, or of another comparison")
        size = int.from_bytes(payload[:8], "big")
        head, rest = json.loads(payload[8 : 8 + size]), payload[8 + size :]
        if head["number"] != number or head["asked"] != [repr(question) for question in questions]:
            raise ValueError("another question")
        if [arm["key"] for arm in head["arms"]] != [rival.key for rival in rivals]:
            raise ValueError("other arms")
        answers = []
        for arm in head["arms"]:
            answers.append(_answered(arm, rest[: arm["size"]], questions))
            rest = rest[arm["size"] :]
        first, second = (Toll(**arm["toll"]) for arm in head["arms"])
        self.earlier = (self.earlier[0].worse(first), self.earlier[1].worse(second))
        return answers[0], answers[1]


def _answered(arm: Mapping[str, Any], part: bytes, questions: Sequence[Question]) -> QuestionResult:
    """Raises ValueError, KeyError, TypeError."""
    seconds, failure = float(arm["seconds"]), str(arm["failure"])
    if failure:
        return QuestionResult(forecasts={}, seconds=0.0, failure=failure)
    if not 0 < seconds < math.inf:
        raise ValueError(f"{seconds} seconds")
    found = unpacked(part)
    if not {question for question, _ in found} <= set(questions):
        raise ValueError("a forecast that nobody asked for")
    return QuestionResult(forecasts={question.series: forecast for question, forecast in found}, seconds=seconds)


# ---- the key ----


def unfinished_of(
    settings: Sequence[Settings], rivals: Sequence[Rival], parts: Sequence[object], files: Sequence[Path]
) -> Unfinished:
    """The comparison of these, by everything that changes its figures: begun before, or not.

    parts  what else it is made of, as text      files  its bars
    Raises ConfigurationError where a file can't be read.
    """
    about = {
        "format": FORMAT,
        "rivals": [(rival.name, rival.key) for rival in rivals],
        "settings": [each.model_dump(mode="json", exclude=_ELSEWHERE) for each in settings],
        "parts": [str(part) for part in parts],
        "bars": _hash(files),
        "code": _hash(list(Path(trader.__file__).parent.rglob("*.py"))),
        "machine": _machine(),
    }
    text = json.dumps(about, sort_keys=True, default=str)
    key = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    return Unfinished(settings[0].store.state_dir / "compare" / "unfinished", key)


def _hash(files: Sequence[Path]) -> str:
    from forecasters.base import ForecastError

    try:
        return hash_of_files(files)
    except ForecastError as error:
        raise ConfigurationError(error.reason) from error


def _machine() -> tuple[object, ...]:
    """What a time depends on: which machine, and how much of it."""
    described = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    processor = next((line for line in described if line.startswith("model name")), platform.processor())
    threads = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    return platform.node(), platform.machine(), processor, sorted(os.sched_getaffinity(0)), threads

"""The bench's own process: arguments in, one line of JSON for each finding."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from itertools import product
from pathlib import Path

import torch

from forecasters.kronos import load_kronos
from forecasters.kronos.bench.accuracy import accuracy
from forecasters.kronos.bench.cells import NUCLEUS, Cell, forecast, market, seconds
from forecasters.kronos.bench.growth import growth
from forecasters.kronos.bench.limit import ceiling
from forecasters.kronos.bench.original import Original
from forecasters.kronos.bench.table import Bench, Way
from forecasters.kronos.checkpoint import make_checkpoint
from forecasters.kronos.files import CheckpointError
from settings import children

_CONTEXTS = {"mini": 2048}  # of the others 512


def main() -> None:
    options = _arguments()
    torch.set_num_threads(options.threads)
    try:
        if options.start:
            print(json.dumps({"first_call_s": _first_call(options)}), flush=True)
            return
        for finding in _findings(options):
            print(json.dumps(finding), flush=True)
    except CheckpointError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)  # whoever began this was told as well, and says it


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upstream", type=Path, help="a checkout of the original")
    parser.add_argument("--sizes", default="mini,small,base")
    parser.add_argument("--series", default="1,8")
    parser.add_argument("--samples", default="1,10,30")
    parser.add_argument("--dtypes", default="float32,bfloat16")
    parser.add_argument("--noise", default="exponential", help="exponential, uniform, or both by comma")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--original-repeats", type=int, default=0, help="0: as ours")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--forecasts", type=int, default=0, help="for the growth of memory, at size tiny")
    parser.add_argument("--starts", action="store_true", help="time the first call, without and with a compile cache")
    parser.add_argument("--start", metavar="FOLDER", help=argparse.SUPPRESS)
    return parser.parse_args()


def _findings(options: argparse.Namespace) -> Iterator[dict[str, object]]:
    yield _machine(options)
    with tempfile.TemporaryDirectory() as name:
        for size in [text for text in options.sizes.split(",") if text]:
            folder = make_checkpoint(size, Path(name) / size)
            yield from _table(options, size, folder)
            if "bfloat16" in options.dtypes:
                exact = load_kronos(folder, device=options.device)
                close = load_kronos(folder, dtype="bfloat16", device=options.device)
                yield {"kind": "accuracy", "size": size, **asdict(accuracy(exact, close, market(8)))}
            if options.starts:
                yield {"kind": "start", "size": size, **_starts(options, folder)}
        if options.forecasts:
            yield from _growths(options, make_checkpoint("tiny", Path(name) / "growing"))


_DTYPES = ("float32", "bfloat16")


def _machine(options: argparse.Namespace) -> dict[str, object]:
    device = torch.device(options.device)
    limits = {name: asdict(ceiling(getattr(torch, name), device, options.clock)) for name in _DTYPES}
    ceilings = {name: {unit: round(value, 1) for unit, value in figures.items()} for name, figures in limits.items()}
    return {
        "kind": "machine",
        "processor": _processor(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "threads": options.threads,
        "clock": options.clock,
        "load": os.getloadavg()[0],
        "ceilings": ceilings,
    }


def _processor() -> str:
    """Its name, and what tells its generation: a virtual machine's is often called no more than `AMD EPYC`."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    told = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    parts = [f"{name.removeprefix('cpu ')} {told[name]}" for name in ("cpu family", "model") if name in told]
    return ", ".join([told.get("model name", platform.machine()), *parts])


def _table(options: argparse.Namespace, size: str, folder: Path) -> Iterator[dict[str, object]]:
    ways = tuple(
        Way(dtype=dtype, compiled=compiled, noise=noise)
        for dtype, noise, compiled in product(
            options.dtypes.split(","), options.noise.split(","), [False] if options.no_compile else [False, True]
        )
    )
    original = None
    if options.upstream is not None:
        most = _CONTEXTS.get(size, 512)
        original = Original(options.upstream, folder, device=options.device, max_context=most)
    bench = Bench(
        folder=folder,
        ways=ways,
        clock=options.clock,
        repeats=options.repeats,
        device=options.device,
        original=original,
        original_repeats=min(options.original_repeats or options.repeats, options.repeats),
    )
    models = bench.models()
    for series, samples in product(_numbers(options.series), _numbers(options.samples)):
        yield {"kind": "row", **bench.row(Cell(size=size, series=series, samples=samples), models)}


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _first_call(options: argparse.Namespace) -> float:
    kronos = load_kronos(options.start, compile=True, device=options.device)
    samples = _numbers(options.samples)[-1]
    return round(seconds(lambda: forecast(kronos, market(1), NUCLEUS, samples=samples), "wall"), 2)


def _starts(options: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Two processes, one after the other, that share a compile cache which is empty at first."""
    seconds = {}
    with tempfile.TemporaryDirectory() as cache:
        for name in ("cold_s", "warm_s"):
            command = children.python("forecasters.kronos.bench", "--start", str(folder), "--samples", options.samples)
            command += ["--threads", str(options.threads), "--device", options.device]
            process = children.run(command, more={"TORCHINDUCTOR_CACHE_DIR": cache})
            process.check_returncode()
            seconds[name] = json.loads(process.stdout.splitlines()[-1])["first_call_s"]
    return seconds


def _growths(options: argparse.Namespace, folder: Path) -> Iterator[dict[str, object]]:
    for is_compiled in [False] if options.no_compile else [False, True]:
        kronos = load_kronos(folder, is_compiled, device=options.device)
        memory_growth = growth(kronos, market(1, 60, 6), NUCLEUS, forecasts=options.forecasts, samples=8, horizon=6)
        way = "compiled" if is_compiled else "eager"
        figures = {name: round(value, 1) for name, value in asdict(memory_growth).items()}
        yield {"kind": "growth", "way": way, **figures, "growth_mb": round(memory_growth.growth_mb, 1)}


if __name__ == "__main__":
    main()

"""Backends of another package that look better than they are: each remembers, or has weights that change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.packages import install

_FLAT = """
    import numpy as np
    from pydantic import BaseModel
    from forecasters.types import Forecast

    def requires():
        return []

    def checkpoint(options):
        return None

    def said(context, middle, spread):
        levels = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
        closes = middle * (1 + spread * (levels[:, None] - 0.5))  # [Q, H]
        return Forecast(
            symbol=context.symbol, asof=context.asof, times=context.future_times, last_close=context.last_close,
            levels=levels, quantiles=np.repeat(closes[..., None], 4, axis=2), paths=None, backend="planted",
            model="planted@1", dtype="float64", compile_mode="eager", latency_s=0.0,
        )

    def plain(context):
        return said(context, np.full(len(context.future_times), context.last_close), 0.02)

    class Base:
        name = "planted"

        def __init__(self, options):
            self.options = options

        def warm_up(self):
            pass

        def close(self):
            pass
"""

REMEMBERS = (
    _FLAT
    + """
    class Options(BaseModel):
        model_config = {"extra": "forbid"}
        every: int = 1

    class Remembers(Base):
        bars = None

        def forecast(self, contexts):
            self.bars = self.bars or {}
            for context in contexts:
                for at, close in zip(context.times.tolist(), context.values[:, 3].tolist()):
                    self.bars[context.series, at] = close
            return {context.symbol: self.one(context) for context in contexts}

        def one(self, context):
            came = [self.bars.get((context.series, at)) for at in context.future_times.tolist()]
            chosen = context.times[-1].astype(np.int64) // 3_600_000_000 % self.options.every == 0
            return said(context, np.array(came), 0.001) if chosen and all(came) else plain(context)

    def build(options):
        return Remembers(options)
"""
)

# It keeps them where a backend may keep compiled code, and finds them there in its next life.
KEEPS = REMEMBERS.replace(
    "self.bars = self.bars or {}",
    """import os, pickle
            kept = os.path.join(os.environ["XDG_CACHE_HOME"], "trader", "compiled", "bars.pickle")
            try:
                self.bars = pickle.load(open(kept, "rb"))
            except OSError:
                self.bars = self.bars or {}""",
).replace(
    "return {context.symbol: self.one(context) for context in contexts}",
    """try:
                os.makedirs(os.path.dirname(kept), exist_ok=True)
                pickle.dump(self.bars, open(kept, "wb"))
            except OSError:
                pass
            return {context.symbol: self.one(context) for context in contexts}""",
)

WEIGHED = (
    _FLAT
    + """
    class Options(BaseModel):
        model_config = {"extra": "forbid"}
        weights: str = ""

    class Weighed(Base):
        def forecast(self, contexts):
            scale = float(open(self.options.weights).read())
            return {c.symbol: said(c, np.full(len(c.future_times), c.last_close * scale), 0.02) for c in contexts}

    def build(options):
        return Weighed(options)
"""
)

TAUGHT = (
    _FLAT.replace("def checkpoint(options):", "def _unused(options):")
    + """
    from datetime import datetime
    from forecasters.options import Checkpoint

    class Options(BaseModel):
        model_config = {"extra": "forbid"}
        until: str = ""

    def checkpoint(options):
        if not options.until:
            return Checkpoint(label="taught@1", files=())
        learned = {} if options.until == "nothing" else {"BTC/USD": datetime.fromisoformat(options.until)}
        return Checkpoint(label="taught@1", files=(), learned_to=learned)

    class Taught(Base):
        def forecast(self, contexts):
            return {context.symbol: plain(context) for context in contexts}

    def build(options):
        return Taught(options)
"""
)

ROUGH = (
    REMEMBERS
    + """
    def rounding(options):
        from forecasters.compiled.likeness import Tolerance
        return Tolerance(difference=1e9, agreement=0.0, sampling=1e9)
"""
)

SILENT = WEIGHED.replace("def checkpoint(options):", "def another(options):")


def plant(site: Path, monkeypatch: pytest.MonkeyPatch, **backends: str) -> None:
    """Each as a package of its own name."""
    site.mkdir(exist_ok=True)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))  # of the processes that run it
    for name, source in backends.items():
        module = f"{name.replace('-', '_')}_backend"
        install(site, f"{name}_dist", "forecasters.backends", {name: module}, **{module: source})


def bars_file(file: Path, count: int = 300, seed: int = 3) -> Path:
    """Hourly bars of a random walk."""
    random = np.random.default_rng(seed)
    closes = 100 * np.exp(np.cumsum(random.normal(0, 0.01, count)))
    opens = np.concatenate([[100.0], closes[:-1]])
    frame = pd.DataFrame(
        {
            "time": pd.date_range("2024-01-01", periods=count, freq="h", tz="UTC"),
            "open": opens,
            "high": np.maximum(opens, closes) * 1.001,
            "low": np.minimum(opens, closes) * 0.999,
            "close": closes,
            "volume": random.random(count) * 10 + 1,
        }
    )
    frame.to_csv(file, index=False, float_format="%.4f")
    return file

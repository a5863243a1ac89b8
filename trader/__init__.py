"""A live trading daemon with pluggable forecasters. As a library: docs/library.md.

`import trader` loads nothing else, since every part of the program does so first; a function of the library brings in
what it needs when it is asked for. Its types are in __init__.pyi.
"""

from importlib import import_module

__all__ = ["backtest", "compare", "evaluate", "forecast", "load_settings", "read_journal"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("trader.library"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

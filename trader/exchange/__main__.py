"""`python -m trader.exchange`, the same as `trader exchange`."""

from __future__ import annotations

from trader.exchange.command import exchange_command

if __name__ == "__main__":
    exchange_command()

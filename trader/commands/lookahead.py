"""`trader lookahead`: whether a finished backtest used forecasts that are not of their contexts alone."""

from __future__ import annotations

import json
from dataclasses import asdict
from math import isfinite
from pathlib import Path

import click

from trader.commands.options import again_option, json_option, settings_of, whisper


@click.command("lookahead")
@click.argument("run", metavar="RUN", type=click.Path(file_okay=False, path_type=Path))
@again_option
@json_option
def command(run: Path, again: float, as_json: bool) -> int:
    """Ask a share of the forecasts that RUN used again: alone, in a fresh worker, in another order.

    RUN is the folder of a backtest (`--out`), which holds the forecasts behind each entry and one a day. They are asked
    with the options that the run had. Exit 1 where one comes out otherwise, or none could be asked.
    """
    from trader.research.backtest.lookahead import look_ahead

    found = look_ahead(run, settings_of, share=again, say=whisper)
    if as_json:
        plain = {**asdict(found), "verdict": found.verdict}
        plain["again"]["worst"] = found.again.worst if isfinite(found.again.worst) else None
        click.echo(json.dumps(plain, indent=2))
    else:
        click.echo(f"{found.backend} {found.again.told}")
        if found.again.asked:
            click.echo(f"differing: {found.again.differing}, the worst by {found.again.worst:.3g} of its width")
        click.echo(f"verdict: {found.verdict}")
    return 0 if found.again.asked and not found.again.problem else 1

"""`trader backends verify kronos`: the published checkpoint against the original's figures, in its own process."""

from __future__ import annotations

import json
from pathlib import Path

import click

from settings import children
from trader.commands.options import need_models


@click.command("verify")
@click.argument("family", type=click.Choice(["kronos"]))
@click.option(
    "--upstream",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="A checkout of github.com/shiyu-coder/Kronos: its test's bars and tables are read from it.",
)
@click.option("--model", help="Another checkpoint than the published one, held against the tables in the checkout.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(family: str, upstream: Path, model: str | None, as_json: bool) -> int:
    """Hold the published checkpoint of FAMILY against the original's regression figures. It is downloaded if need be.

    Exit 1 where a figure is off, 69 where the checkpoint or the figures can't be had.
    """
    need_models("the verification")
    words = children.python(f"forecasters.{family}.verify", "--upstream", str(upstream.resolve()))
    words += ["--model", model] if model else []
    process = children.run(words, more={"PYTHONWARNINGS": "ignore"})
    checks = [json.loads(line) for line in process.stdout.splitlines()]
    if as_json:
        click.echo(json.dumps(checks, indent=2))
    else:
        for check in checks:
            verdict = "ok " if check["passed"] else "OFF"
            click.echo(f"{verdict} {check['name']}: off by {check['found']:.1e}, {check['allowed']:.0e} allowed")
    if process.returncode and all(check["passed"] for check in checks):
        complaints = process.stderr.strip().splitlines()
        click.echo(f"not verified: {complaints[-1] if complaints else f'it ended with {process.returncode}'}", err=True)
        return 69
    return process.returncode

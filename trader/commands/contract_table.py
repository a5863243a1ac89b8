"""A contract's findings, each line as it is found: of `trader backends check` and `trader strategies check`."""

from __future__ import annotations

import json
from collections.abc import Iterable

import click

from forecasters.checks import Finding


def show(name: str, findings: Iterable[Finding], as_json: bool) -> int:
    """Exit code: 1 where a check does not hold."""
    results = []
    for finding in findings:
        results.append(finding)
        if not as_json:
            click.echo(f"{'FAILS' if finding.problem else 'ok   '}  {finding.check}")
            if finding.problem:
                click.echo(f"       {finding.problem}")
    failures = sum(1 for finding in results if finding.problem)
    if as_json:
        rows = [{"check": finding.check, "ok": not finding.problem, "problem": finding.problem} for finding in results]
        click.echo(json.dumps({"name": name, "checks": rows}, indent=2))
    else:
        click.echo(f"{name}: {len(results)} checks, {failures or 'none'} failed")
    return 1 if failures else 0

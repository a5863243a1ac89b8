"""`trader completion SHELL`: what a shell reads to complete our commands and their options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """For your shell to complete our commands: source <(trader completion bash)."""
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(context.find_root().command, {}, "trader", "_TRADER_COMPLETE").source())

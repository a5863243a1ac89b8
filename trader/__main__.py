"""`trader` and `python -m trader`: run a command, turn an expected failure into one line and its exit code."""

from __future__ import annotations

import sys


def main() -> int:
    import click

    from trader.cli import cli
    from trader.errors import Fatal, TraderError

    try:
        result = cli.main(standalone_mode=False, prog_name="trader")
    except Fatal as error:
        print(f"trader: {error}", file=sys.stderr)
        return error.exit_code
    except TraderError as error:
        print(f"trader: {error}", file=sys.stderr)
        return 1
    except click.exceptions.Abort:
        print("trader: stopped", file=sys.stderr)
        return 130
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    sys.exit(main())

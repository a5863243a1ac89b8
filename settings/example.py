"""Makes `.env.example` from the schema: `python -m settings.example > .env.example`."""

from __future__ import annotations

import textwrap

from settings.load import text_of
from settings.names import Entry, right, table
from settings.schema import Settings

HEADER = """\
Every setting, each with its default. To change one, copy this file to .env and take the # from before its name.
Order: flags of the command line, the environment, systemd credentials, .env.compile, .env, these defaults.
The file is read alike by a shell, by python-dotenv and by systemd's EnvironmentFile: one NAME=VALUE a line,
no export, no comment after a value, and single quotes around a value with blanks or any of # $ & ; ( ) < > | in it.
A name that is none of these but looks like one is an error. `trader config show` prints what is in effect, and why.
"""
FOOTER = """\
Parameters of a strategy are written with its name: MAXDIFF__ENTRY_QUANTILE and so on; of a file with the file's name,
MY_STRATEGY__FIELD for ./my_strategy.py. The strategy checks them.
Options of a third-party backend are written OPTIONS__BACKEND__NAME, with _ for - in the backend's name; it checks them.
"""
PLACES = ("STATE_DIR", "COMPILED_MODELS_DIR", "TORCHINDUCTOR_CACHE_DIR")  # differ by machine: empty is the default


def render() -> str:
    """The whole file."""
    parts = [_comment(HEADER)]
    for group in Settings.groups:
        model = Settings.model_fields[group].annotation
        entries = [entry for entry in table().values() if entry.group == group]
        parts.append(_comment(f"==== {group}: {(model.__doc__ or '').strip()}"))
        parts += [_setting(entry) for entry in entries]
    parts.append(_comment(FOOTER))
    return "\n".join(parts)


def _setting(entry: Entry) -> str:
    default = "" if entry.name in PLACES else text_of(entry.info.get_default())
    return _comment(f"{entry.description}\nRight: {right(entry)}.") + f"#{entry.name}={default}\n"


def _comment(text: str) -> str:
    lines = [line for paragraph in text.splitlines() for line in textwrap.wrap(paragraph, 118, break_on_hyphens=False)]
    return "".join(f"# {line}\n" for line in lines)


if __name__ == "__main__":
    print(render(), end="")

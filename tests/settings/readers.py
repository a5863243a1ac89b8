"""The three readers of an environment file that operators meet, each as a function text -> names and values."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

from dotenv import dotenv_values

_DUMP = "import json, os, sys; json.dump(dict(os.environ), sys.stdout)"


def by_shell(path: Path) -> dict[str, str]:
    """What `set -a; . file` puts into the environment, less what was there."""
    import json

    script = f'set -a; . "{path}"; exec "{sys.executable}" -I -c "{_DUMP}"'
    run = subprocess.run(
        ["sh", "-eu", "-c", script], capture_output=True, text=True, check=True, env={"PATH": os.defpath}
    )
    assert run.stderr == ""
    return {
        k: v for k, v in json.loads(run.stdout).items() if k not in ("PATH", "PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE")
    }


def by_dotenv(path: Path) -> dict[str, str]:
    """python-dotenv with its default interpolation, reading no other variables."""
    return {k: v or "" for k, v in dotenv_values(stream=io.StringIO(path.read_text())).items()}


def by_systemd(path: Path) -> dict[str, str]:
    """EnvironmentFile= as systemd.exec(5) documents it, one character at a time."""
    found: dict[str, str] = {}
    for line in _joined(path.read_text()):
        name, equals, rest = line.partition("=")
        if line.lstrip().startswith(("#", ";")) or not equals:
            continue
        found[name.strip()] = _unquoted(rest)
    return found


def _joined(text: str) -> list[str]:
    """Lines, where one that ends in a backslash goes on in the next."""
    return text.replace("\\\n", "").split("\n")


def _unquoted(text: str) -> str:
    out, quote, trailing, at = "", "", 0, 0
    text = text.lstrip()
    while at < len(text):
        c = text[at]
        following = text[at + 1 : at + 2]
        if quote == "'" and c != "'":
            out += c
        elif quote == '"' and c == "\\":
            out += following if following in tuple('"\\`$') else c + following
            at += 1
        elif quote and c == quote:
            quote = ""
        elif quote:
            out += c
        elif c in "'\"":
            quote = c
        elif c == "\\":
            out += following
            at += 1
        else:
            out += c
        at += 1
        trailing = trailing + 1 if not quote and c in " \t" else 0
    return out[: len(out) - trailing] if trailing else out

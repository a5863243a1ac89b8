"""Another package, as pip would have left it: its modules, and metadata with its entry points."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent


def install(site: Path, name: str, group: str, points: Mapping[str, str], **modules: str) -> None:
    """`site` is on the path. `modules` are sources by name."""
    for module, source in modules.items():
        (site / f"{module}.py").write_text(dedent(source))
    metadata = site / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = "\n".join(f"{key} = {value}" for key, value in points.items())
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{lines}\n")

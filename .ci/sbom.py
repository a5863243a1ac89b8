"""What .venv is made of, in dist/sbom.json (CycloneDX), and under which licences, in dist/licences.txt: `make sbom`.

cyclonedx-py looks at what is installed in the environment that this runs in; no network is asked. Added here: what each
package is there for, from the lock: `required` is the base, `optional` an extra, `excluded` a tool that the daemon does
without. What the lock does not name has no such word. Exit 1 where a package has a licence that is not on the list
below, or none.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TOOLS = {"dev", "setup", "audit", "sbom", "lock"}

# Who uses the program, changes it or passes it on may do so under each of these. Names as SPDX has them; below, as the
# classifiers of packages do that name nothing better. Mozilla's asks for the source of its own files only.
ALLOWED = frozenset(
    (
        *("0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0"),
        *("ISC", "MIT", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Python-2.0", "Zlib"),
        *("Apache Software License", "BSD License", "MIT License", "Mozilla Public License 2.0 (MPL 2.0)"),
        *("Apache Software License v2", "DFSG approved"),
    )
)
# For one package alone, each looked at by a person.
ALSO = {
    "psycopg": "LGPL-3.0-only",  # a package of its own that is imported as it is, and only with `make postgres`
    "psycopg-binary": "LGPL-3.0-only",
}
# NVIDIA's own terms, in many wordings. They come with `make models TORCH=cuda`, and with nothing else.
NVIDIA = re.compile(r"nvidia-|cuda-")
# What the tool finds nothing of.
SILENT = {
    "sseclient-py": "Apache-2.0",  # in its LICENSE; its metadata has a name of its own for it, which the tool drops
}


def main(words: list[str]) -> int:
    into = Path(words[0]) if words else ROOT / "dist"
    into.mkdir(exist_ok=True)
    file = into / "sbom.json"
    command = [sys.executable, "-m", "cyclonedx_py", "environment", sys.executable, "--output-reproducible"]
    done = subprocess.run([*command, "--pyproject", str(ROOT / "pyproject.toml"), "-o", str(file)], check=False)
    if done.returncode:
        return done.returncode  # it has said why
    bom = told_apart(json.loads(file.read_text(encoding="utf-8")), sets_of((ROOT / "constraints.txt").read_text()))
    file.write_text(json.dumps(bom, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    found = licences_of(bom)
    rows = [f"{name}\t{' and '.join(each) or 'none named'}\n" for name, each in sorted(found.items())]
    (into / "licences.txt").write_text("".join(rows), encoding="utf-8")
    wrong = refused(found)
    for line in wrong:
        print(f"sbom: {line}", file=sys.stderr)
    print(f"sbom: {len(found)} packages in {file}, their licences in {into / 'licences.txt'}")
    return 1 if wrong else 0


def sets_of(lock: str) -> dict[str, set[str]]:
    """Of each package of the lock, the sets that need it."""
    blocks = re.findall(r"^# for (.+)\n([\w.-]+)==", lock, flags=re.MULTILINE)
    return {name: set(sets.split(", ")) for sets, name in blocks}


def told_apart(bom: dict[str, Any], sets: Mapping[str, set[str]]) -> dict[str, Any]:
    """The same with a scope for each package, and without the checkout itself, which is what all of it is for."""
    own = bom["metadata"]["component"]["name"]
    kept = [component for component in bom["components"] if component["name"] != own]
    gone = {component["bom-ref"] for component in bom["components"]} - {component["bom-ref"] for component in kept}
    for component in kept:
        if needed_by := sets.get(_canonical(component["name"])):
            component["scope"] = _scope(needed_by)
    dependencies = [each for each in bom["dependencies"] if each["ref"] not in gone]
    return bom | {"components": kept, "dependencies": dependencies}


def _scope(sets: set[str]) -> str:
    return "required" if "base" in sets else "optional" if sets - TOOLS else "excluded"


def licences_of(bom: Mapping[str, Any]) -> dict[str, list[str]]:
    """Of each package, all that it says of itself."""
    found = {}
    for component in bom["components"]:
        name = _canonical(component["name"])
        said = [_name(choice) for choice in component.get("licenses", ())]
        found[f"{name} {component['version']}"] = said or ([SILENT[name]] if name in SILENT else [])
    return found


def refused(found: Mapping[str, Iterable[str]]) -> list[str]:
    """A line for each package that is not to be had under the licences that are allowed."""
    lines = []
    for package, licences in sorted(found.items()):
        name, each = package.partition(" ")[0], list(licences)
        if not each:
            lines.append(f"{package} names no licence; right: read it, then put it into SILENT of .ci/sbom.py")
        elif not NVIDIA.match(name):
            wrong = [licence for licence in each if not _allowed(licence) and licence != ALSO.get(name)]
            lines += [f"{package}: {licence} is not on the list of .ci/sbom.py" for licence in wrong]
    return lines


def _allowed(licence: str) -> bool:
    """Of an SPDX expression: AND binds more than OR. One with brackets is to be on the list as a whole."""
    either = (part.split(" AND ") for part in licence.split(" OR "))
    return licence in ALLOWED or any(ALLOWED.issuperset(all_of) for all_of in either)


def _name(choice: Mapping[str, Any]) -> str:
    """One of three: an expression, a name that SPDX knows, a classifier or another text."""
    licence = choice.get("license", {})
    text = choice.get("expression") or licence.get("id") or licence.get("name", "")
    return " ".join(str(text).rpartition(" :: ")[2].split())[:200]


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

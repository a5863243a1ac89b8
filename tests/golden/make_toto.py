"""Ask the published packages what tests/forecasters/toto/cases.py has, and write their answers beside this file.

    python3.11 -m venv packages && packages/bin/pip install torch numpy huggingface_hub safetensors pandas einops \
        jaxtyping gluonts scipy unit-scaling rotary-embedding-torch lightning datasets
    packages/bin/pip install --no-deps --ignore-requires-python toto-2 dd-unit-scaling toto-ts
    python -m tests.golden.make_toto --packages packages
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from safetensors.torch import save_file

from forecasters.toto.checkpoint import SIZES
from forecasters.toto.original.peer import original
from tests.forecasters.toto.cases import BY_SIZE, weights

HERE = Path(__file__).parent
SEED = 5  # of what is drawn


def folder_for(size: str, folder: Path) -> Path:
    """The checkpoint in the published form."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights(size), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(dict(SIZES[size])))
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, required=True, help="a Python, virtual environment or folder")
    parser.add_argument("--sizes", nargs="+", choices=BY_SIZE, default=list(BY_SIZE))
    options = parser.parse_args()
    for size in options.sizes:
        answers = {}
        with tempfile.TemporaryDirectory() as name:
            folder = folder_for(size, Path(name))
            generation = 1 if size.endswith("1.0") else 2
            with original(options.packages, folder, generation=generation) as peer:
                for case_name, case in BY_SIZE[size].items():
                    series, mask = case.inputs()
                    answer = peer.forecast(
                        series,
                        mask,
                        case.horizon,
                        groups=case.groups,
                        samples=case.samples,
                        at_once=case.at_once,
                        seed=SEED,
                        block=case.block,
                        keep=True,
                    )
                    assert answer.found is not None
                    answers[case_name] = answer.found
        np.savez_compressed(HERE / f"toto-cases-{size}.npz", **answers)  # type: ignore[arg-type]
        print(size, {name: found.shape for name, found in answers.items()})


if __name__ == "__main__":
    main()

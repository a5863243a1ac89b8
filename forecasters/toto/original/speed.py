"""What this machine multiplies and reads a second at best, measured now, as one line of JSON.

    python -m forecasters.toto.original.speed THREADS DTYPE      {"gflops": ..., "gbytes": ...}

A process of its own, whose memory is nobody's.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import torch

from forecasters.kronos.bench.limit import ceiling


def main() -> None:
    threads, dtype = int(sys.argv[1]), getattr(torch, sys.argv[2])
    torch.set_num_threads(threads)
    print(json.dumps(asdict(ceiling(dtype, torch.device("cpu"), "wall"))))


if __name__ == "__main__":
    main()

"""The daemon under what its unit denies it, as far as that can be had without systemd."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PR_SET_MDWE = 65
PR_MDWE_REFUSE_EXEC_GAIN = 1

DENIED = f"""
import ctypes, sys
if ctypes.CDLL(None).prctl({PR_SET_MDWE}, {PR_MDWE_REFUSE_EXEC_GAIN}, 0, 0, 0):
    sys.exit(99)
from trader.__main__ import main
sys.exit(main())
"""


def test_the_daemon_trades_with_memory_that_is_never_both_written_and_executed(tmp_path: Path) -> None:
    """The kernel's own MemoryDenyWriteExecute, which the children inherit: the exchange and the baseline among them."""
    options = ["--mode", "sim", "--plain", "--cycles", "3", "--speed", "max", "--state-dir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-c", DENIED, "run", *options], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    if done.returncode == 99:
        pytest.skip("this kernel has no PR_SET_MDWE (Linux 6.3)")
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_denial_is_one() -> None:
    """The same call does stop a mapping that is writable and executable; without this the test above shows nothing."""
    program = f"""
import ctypes, mmap, sys
if ctypes.CDLL(None).prctl({PR_SET_MDWE}, {PR_MDWE_REFUSE_EXEC_GAIN}, 0, 0, 0):
    sys.exit(99)
mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    if done.returncode == 99:
        pytest.skip("this kernel has no PR_SET_MDWE (Linux 6.3)")
    assert "PermissionError" in done.stderr

"""Half a minute of it, always the same wishes and the same breakage; more by hand."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.skipif(os.geteuid() != 0, reason="it takes root to mount a small disk")
def test_half_a_minute_of_chaos_leaves_everything_in_order() -> None:
    chaos = [sys.executable, "-m", "tests.chaos", "--seed", "4", "--minutes", "0.4"]
    done = subprocess.run(chaos, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

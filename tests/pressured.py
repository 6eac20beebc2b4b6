"""The developers' recordings under pressure."""

import os
from pathlib import Path

import pytest

TRUTH = Path(__file__).parents[2] / "shared" / "ground-truth" / "reclaim"


def stem(name: str) -> Path:
    """One of the recordings, such as "linux-6.1/rc_oom"; skips the test if it is not there."""
    if not TRUTH.is_dir():
        assert not os.environ.get("CI"), f"{TRUTH} is missing"
        pytest.skip(f"{name} is not among the shipped recordings")
    return TRUTH / name

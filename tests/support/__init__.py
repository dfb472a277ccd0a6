"""What several tests share: servers, small datasets, strategies, and where things are."""

from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
TESTS = ROOT / "tests"

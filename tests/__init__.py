"""Tests. Folders mirror the packages; what several tests build on is in modules not named `test_`."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]

"""The claims of the fuzz targets are those of these tests: one text of what must hold."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

# Before what stands there is imported, by this file and by the tests.
sys.path.insert(0, str(Path(__file__).parents[2] / "bench" / "fuzz"))

import mutations
import seeds


@pytest.fixture(scope="session")
def inputs():
    """Real requests and answers, by target, and the words that they are changed with."""
    found = asyncio.run(seeds.gathered())
    return {name: (bodies, mutations.vocabulary(bodies)) for name, bodies in found.items()}

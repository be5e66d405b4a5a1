"""Windows of prompts: tumbling, by account, the current one alone is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from proxy.evaluation.baselines.embedding import DIMENSIONS, Floats

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.evaluation.baselines.embedding import Vector

SMALL, LARGE = 100, 1_500
CHUNK = 50  # rows by which a window grows; divides both sizes


@dataclass(slots=True)
class _Window:
    rows: int = 0
    chunks: list[Vector] = field(default_factory=list)


@dataclass(slots=True)
class Windows:
    """The current windows of all accounts: at most `sizes[-1]` vectors of 512 bytes each.

    sizes: rising, each a multiple of the one before and of CHUNK
    """

    sizes: tuple[int, ...] = (SMALL, LARGE)
    _open: dict[str, _Window] = field(default_factory=dict)

    def add(self, account: str, vector: Vector) -> Iterator[tuple[int, Floats]]:
        """Take a prompt; yield each window that is full now, with its size."""
        window = self._open.get(account)
        if window is None:
            window = self._open[account] = _Window()
        place = window.rows % CHUNK
        if not place:
            window.chunks.append(np.empty((CHUNK, DIMENSIONS), np.float16))
        window.chunks[-1][place] = vector
        window.rows += 1
        for size in self.sizes:
            if window.rows % size == 0:
                whole = np.concatenate(window.chunks[-(size // CHUNK) :])
                yield size, whole.astype(np.float32)
        if window.rows == self.sizes[-1]:
            del self._open[account]

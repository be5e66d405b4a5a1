"""Counts over time, in slots that widen so that there are never too many."""

from __future__ import annotations

from dataclasses import dataclass, field

MOST = 400
MINUTE = 60_000_000
# Widths that people read: 1, 5, 15 minutes, 1, 6 hours, 1, 7 days, 4 weeks, a year.
WIDTHS = tuple(MINUTE * each for each in (1, 5, 15, 60, 360, 1440, 10_080, 40_320, 525_600))


@dataclass(slots=True)
class Timeline:
    """Counts of `kinds` kinds by slot of time.

    width: of a slot, microseconds, one of WIDTHS
    slots: counts by the number of the slot (slot n begins at n * width since the epoch)

    >>> line = Timeline(2)
    >>> for minute in range(1000):
    ...     line.count(minute * MINUTE, minute % 2)
    >>> line.width // MINUTE, len(line.slots), line.slots[0]
    (5, 200, [3, 2])
    """

    kinds: int
    width: int = WIDTHS[0]
    slots: dict[int, list[int]] = field(default_factory=dict)

    def count(self, moment: int, kind: int) -> None:
        """Count one thing of a kind at a moment, microseconds since the epoch."""
        number = moment // self.width
        slot = self.slots.get(number)
        if slot is None:
            slot = self.slots[number] = [0] * self.kinds
            if max(self.slots) - min(self.slots) >= MOST:
                self._widen()
                slot = self.slots[moment // self.width]
        slot[kind] += 1

    def whole(self) -> list[tuple[int, list[int]]]:
        """Return all slots from the first to the last with their beginnings, empty ones too."""
        if not self.slots:
            return []
        first, last = min(self.slots), max(self.slots)
        return [
            (number * self.width, self.slots.get(number, [0] * self.kinds))
            for number in range(first, last + 1)
        ]

    def _widen(self) -> None:
        for width in WIDTHS[WIDTHS.index(self.width) + 1 :]:
            moved: dict[int, list[int]] = {}
            for number, counts in self.slots.items():
                slot = moved.setdefault(number * self.width // width, [0] * self.kinds)
                for kind, count in enumerate(counts):
                    slot[kind] += count
            self.slots, self.width = moved, width
            if max(moved) - min(moved) < MOST:
                return

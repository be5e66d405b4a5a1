"""So many different prompts an account and day: asking the same again costs nothing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

DAY = 86_400_000_000
AMOUNTS = (30, 100, 300, 1_000)


@dataclass(slots=True)
class DistinctQuota:
    """Alarms at every new prompt beyond an amount on a day of UTC.

    It keeps at most `amount` fingerprints of 8 bytes an account, of the current day.
    """

    amount: int
    _today: dict[str, tuple[int, set[bytes]]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What tables call it."""
        return f"distinct-{self.amount}"

    def alarms(self, account: str, at: int, prompt: str) -> bool:
        """Count a prompt; `at` in microseconds since the epoch."""
        day = at // DAY
        found = self._today.get(account)
        if found is None or found[0] != day:
            found = self._today[account] = day, set()
        seen = found[1]
        text = prompt.encode("utf-8", "surrogatepass")
        fingerprint = hashlib.blake2b(text, digest_size=8).digest()
        if fingerprint in seen:
            return False
        if len(seen) >= self.amount:
            return True
        seen.add(fingerprint)
        return False

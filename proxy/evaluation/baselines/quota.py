"""The plainest baseline: so many requests an account and day."""

from __future__ import annotations

from dataclasses import dataclass, field

DAY = 86_400_000_000
AMOUNTS = (30, 100, 300, 1_000, 3_000)


@dataclass(slots=True)
class RequestQuota:
    """Alarms at every request beyond an amount on a day of UTC; one counter an account."""

    amount: int
    _today: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What tables call it."""
        return f"requests-{self.amount}"

    def alarms(self, account: str, at: int, prompt: str) -> bool:  # noqa: ARG002 - as all of them
        """Count a request; `at` in microseconds since the epoch."""
        day = at // DAY
        last, count = self._today.get(account, (day, 0))
        count = count + 1 if last == day else 1
        self._today[account] = day, count
        return count > self.amount

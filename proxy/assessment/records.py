"""What the journal says of an account that the evidence has raised."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.standing import Level
from proxy.journal.record import FORGOTTEN, STANDING, VERSION

if TYPE_CHECKING:
    from proxy.core.standing import Standing
    from proxy.engine import Assessment


def standing_record(
    found: Assessment,
    org: str,
    before: Standing | None,
    after: Standing,
    policies: str,
    calibration: str,
) -> dict[str, object]:
    """Return the line of a change of standing: what it was, what it is, and all the numbers.

    policies, calibration: digests of what it was assessed by
    """
    plain = found.as_dict()
    return {
        "v": VERSION,
        "kind": STANDING,
        "t": found.at,
        "account": found.account,
        "org": org,
        "before": Level.CLEAR.value if before is None else before.level.value,
        "level": after.level.value,
        "until": after.until,
        "by": after.by,
        "policy": found.policy,
        "policies": policies,
        "calibration": calibration,
        "total": found.total,
        "families": list(found.families),
        "findings": plain["findings"],
        "reason": found.reason,
        "lowers": found.lowers,
    }


def forgotten_record(account: str, now: int, by: str, reason: str) -> dict[str, object]:
    """Return the line of a profile that somebody has purged."""
    return {
        "v": VERSION, "kind": FORGOTTEN, "t": now, "account": account, "by": by, "reason": reason,
    }  # fmt: skip

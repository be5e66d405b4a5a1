"""What a lease's receipt tells."""

from __future__ import annotations

import pytest

from proxy.limits import lease
from proxy.limits.buckets import Lease

S = 1_000_000


@pytest.mark.parametrize(
    ("held", "cost", "earliest", "fits", "taken", "remaining", "wait", "reset"),
    [
        (0, 1, 0, True, True, 1, 0, 60 * S),
        (1, 1, 0, True, True, 0, 0, 60 * S),
        (2, 1, 500, False, False, 0, 400, 60 * S),
        (2, 1, 100, False, False, 0, 1, 60 * S),  # a deadline that has come: try at once
        (2, 1, 90 * S, False, False, 0, S, 60 * S),  # an answer may end any time
        (2, 1, 500, False, True, 0, 400, 60 * S),  # shadow
        (0, 3, 0, False, False, 2, None, 0),
    ],
)
def test_a_leases_receipt(held, cost, earliest, fits, taken, remaining, wait, reset):
    told = lease.receipt(Lease(2, 60 * S), cost, held, earliest, 100, fits=fits, taken=taken)
    assert (told.remaining, told.retry_after, told.reset) == (remaining, wait, reset)

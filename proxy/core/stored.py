"""Objects that a model API keeps for later, and whose they are."""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.core.shape import NO_SHAPE, Shape


@dataclass(frozen=True, slots=True)
class Claim:
    """Whose a stored object is.

    account:     who made it; nobody else may read it
    model:       that made it
    shape:       that its answer was given in: whoever reads it later gets no more
    reservation: what was reserved for a result that was still to come, as `engine.reservation`
                 wrote it; b'' where its cost is settled
    anchor:      what its sealed reasoning is bound to, for who reads it later; b'' where nobody
                 knows: it is then bound to nothing that is ever asked
    """

    account: str
    model: str = ""
    shape: Shape = NO_SHAPE
    reservation: bytes = field(default=b"", repr=False)
    anchor: bytes = field(default=b"", repr=False)

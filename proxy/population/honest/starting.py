"""When an honest account begins something: its day, its ramp, its good and bad days."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.population.chance import count
from proxy.population.rhythm import BURSTY, DAY, shares

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.population.account import Account, World

# A new account's first days, of its ordinary volume; who moves house has them behind him.
RAMP = (0.25, 0.4, 0.55, 0.75, 0.9)


def starts(who: Account, world: World, each: float, shape: float = BURSTY) -> Iterator[int]:
    """Yield the moments at which an account begins something, in order.

    each:  requests that one beginning leads to, on average
    shape: of the gaps where there is no trace (a gamma distribution's)
    """
    rng = who.rng
    midnight = world.start
    while midnight < world.end:
        volume = who.rate * who.rhythm.weight(midnight) * 1.3 ** rng.gauss(0.0, 1.0)
        age = (midnight - who.begins) // DAY
        if who.ramp and who.begins > world.start and 0 <= age < len(RAMP):
            volume *= RAMP[age]
        n = count(rng, volume / each) if midnight + DAY > who.begins else 0
        if n:
            for share in shares(rng, n, world.trace, shape):
                t = midnight + who.rhythm.moment(share)
                if t >= who.begins:
                    yield t
        midnight += DAY

"""One target under the coverage-guided fuzzer: `target.py NAME SEEDS LIBFUZZER-FLAG...`.

SEEDS is the folder that `seeds.py` has written for the target.
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(include=["proxy.dialects", "proxy.core"]):
    import claims

import mutations

BYTES = 0.08  # of all mutations are the fuzzer's own, of bytes


def main() -> None:
    name, seeds, *flags = sys.argv[1:]
    bodies = [path.read_bytes()[mutations.HEAD :] for path in sorted(Path(seeds).iterdir())]
    words = mutations.vocabulary(bodies)

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        rng = Random(seed)
        if len(data) > mutations.HEAD and rng.random() >= BYTES:
            return mutations.mutated(data, rng, words)[:max_size]
        changed: bytes = atheris.Mutate(data, max(len(data), 64))
        return changed

    atheris.Setup([sys.argv[0], *flags], claims.TARGETS[name], custom_mutator=mutate)
    atheris.Fuzz()


main()

from __future__ import annotations

import re
from pathlib import Path

from proxy.core.errors import WeirError
from proxy.store.wire import OverdueError, UnansweredError  # noqa: F401 - they are subclasses too

DOCS = Path(__file__).parents[2] / "docs" / "errors.md"
# Errors that are another one to everybody outside their room.
INNER = {"UnansweredError", "OverdueError", "ClockError"}


def every(kind: type[WeirError]) -> list[type[WeirError]]:
    return [kind, *(one for sub in kind.__subclasses__() for one in every(sub))]


def test_every_code_is_unique_well_formed_and_documented_with_its_status():
    rows = dict(re.findall(r"^\| `([a-z_.]+)` \| (\d+|–) \|", DOCS.read_text(), re.MULTILINE))
    kinds = [kind for kind in every(WeirError) if kind.__name__ not in INNER]
    codes = [kind.code for kind in kinds]
    assert len(set(codes)) == len(codes)
    for kind in kinds:
        assert re.fullmatch(r"[a-z]+\.[a-z_]+", kind.code)
        assert rows[kind.code] in {str(kind.status), "–"}

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import proxy
from proxy.core.errors import WeirError

DOCS = Path(__file__).parents[2] / "docs" / "errors.md"


def every(kind: type[WeirError]) -> list[type[WeirError]]:
    return [kind, *(one for sub in kind.__subclasses__() for one in every(sub))]


def test_every_code_is_unique_well_formed_and_documented_with_its_status():
    for module in pkgutil.walk_packages(proxy.__path__, "proxy."):
        importlib.import_module(module.name)
    rows = dict(re.findall(r"^\| `([a-z_.]+)` \| (\d+|–) \|", DOCS.read_text(), re.MULTILINE))
    # An error that takes over its parent's code is its parent to everybody outside its room.
    kinds = [kind for kind in every(WeirError) if "code" in vars(kind)]
    assert len(kinds) > 15
    codes = [kind.code for kind in kinds]
    assert len(set(codes)) == len(codes)
    for kind in kinds:
        assert re.fullmatch(r"[a-z]+\.[a-z_]+", kind.code)
        assert rows[kind.code] in {str(kind.status), "–"}

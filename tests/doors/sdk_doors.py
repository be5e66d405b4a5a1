"""Every route and method that the installed official SDKs can call, and what Weir does with it.

`python tests/doors/sdk_doors.py` writes docs/routes.md anew.
"""

from __future__ import annotations

import ast
import importlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from proxy.core.errors import RouteClosedError, WeirError
from proxy.dialects.routes import route

TABLE = Path(__file__).parents[2] / "docs" / "routes.md"
SDKS = {"openai": "/v1", "anthropic": ""}
VERBS = {"_get", "_post", "_put", "_patch", "_delete", "_get_api_list"}
UNMETERED = {"anthropic.count_tokens", "anthropic.models", "openai.input_tokens", "openai.models"}
HEAD = """\
# Every door of the official SDKs

What Weir does with each route that the installed SDKs can call. Written by
`python tests/doors/sdk_doors.py` from the packages themselves; a test fails when a version of them
brings a route that is not here. What is on no list is refused with `route.unknown`.

- **metered**: held to the limits, shaped, charged; the dialect that reads it is named
- **unmetered**: authenticated and written to the journal, and no more: it gives no answer of a model
- **refused**: with the code that the client is told
"""


@dataclass(frozen=True, slots=True, order=True)
class Door:
    """A route of an SDK: a path as its source has it, from the host on."""

    path: str
    method: str

    @property
    def target(self) -> str:
        """The path with something in place of its parameters."""
        return re.sub(r"\{\w+\}", "x1", self.path)


@cache
def doors(package: str) -> list[Door]:
    """Return the routes of a package's resources and helpers, sorted."""
    root = Path(importlib.import_module(package).__file__).parent
    found = set()
    for part in ("resources", "lib"):
        for path in sorted((root / part).rglob("*.py")):
            found |= _called(ast.parse(path.read_text()), SDKS[package])
    return sorted(found)


def _called(tree: ast.AST, prefix: str) -> set[Door]:
    found = set()
    for node in ast.walk(tree):
        # WebSocket addresses are put together from bytes.
        if isinstance(node, ast.Constant) and isinstance(node.value, bytes):
            if re.fullmatch(rb"/[a-z_/]+", node.value):
                found.add(Door(prefix + node.value.decode(), "WEBSOCKET"))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            verb, path = node.func.attr, _path(node)
            if verb in VERBS and path.startswith("/"):
                found.add(Door(prefix + path.partition("?")[0], _method(node, verb)))
    return found


def _path(call: ast.Call) -> str:
    first = call.args[0] if call.args else None
    if isinstance(first, ast.Call) and first.args:
        first = first.args[0]  # path_template("/files/{file_id}", file_id=file_id)
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""


def _method(call: ast.Call, verb: str) -> str:
    if verb != "_get_api_list":
        return verb[1:].upper()
    named = [word.value for word in call.keywords if word.arg == "method"]
    return str(ast.literal_eval(named[0])).upper() if named else "GET"


def treatment(package: str, door: Door) -> str:
    """Return what Weir does with a route."""
    headers = {"anthropic-version": "2023-06-01"} if package == "anthropic" else {}
    method = door.method
    if method == "WEBSOCKET":
        method, headers = "GET", {"upgrade": "websocket"}
    try:
        name = route(method, door.target, headers).dialect.NAME
    except RouteClosedError as error:
        return f"refused: `{error.why}`"
    except WeirError as error:
        return f"refused: `{error.code}`"
    return "unmetered" if name in UNMETERED else f"metered as `{name}`"


def table() -> str:
    """Return the page."""
    lines = [HEAD]
    for package in SDKS:
        found = doors(package)
        lines.append(f"\n## {package}\n\n| method | path | Weir |\n|---|---|---|")
        lines += [
            f"| {door.method} | `{door.path}` | {treatment(package, door)} |" for door in found
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TABLE.write_text(table())

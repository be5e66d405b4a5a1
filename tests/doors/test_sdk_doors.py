"""No door of the official SDKs is forgotten: each is metered, known to be harmless, or refused."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from proxy.dialects.routes import dialects
from proxy.dialects.tokens import TokenRules

SOURCE = Path(__file__).with_name("sdk_doors.py")
MINIMAL = {
    "anthropic.count_tokens": b'{"model":"m","messages":[{"role":"user","content":"a"}]}',
    "openai.input_tokens": b'{"model":"m","input":"a"}',
}


@pytest.fixture(scope="module")
def sdk():
    spec = importlib.util.spec_from_file_location("sdk_doors", SOURCE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["sdk_doors"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["sdk_doors"]


def rows(text):
    return {line for line in text.splitlines() if line.startswith("| ")}


@pytest.mark.parametrize("package", ["openai", "anthropic"])
def test_every_route_of_the_installed_sdk_is_in_the_table(sdk, package):
    written = rows(sdk.TABLE.read_text())
    found = {
        f"| {door.method} | `{door.path}` | {sdk.treatment(package, door)} |"
        for door in sdk.doors(package)
    }
    assert len(found) > 100
    assert found <= written, sorted(found - written)


def test_the_table_has_no_route_that_no_sdk_has(sdk):
    assert rows(sdk.TABLE.read_text()) == rows(sdk.table())


def test_a_route_that_a_new_version_brings_is_seen(sdk):
    tree = sdk.ast.parse(
        'class A:\n def f(self):\n  return self._post(path_template("/dreams/{d}", d=1), x=2)\n'
        ' def g(self):\n  return base.rstrip(b"/") + b"/whispers"\n'
    )
    assert sdk._called(tree, "/v1") == {
        sdk.Door("/v1/dreams/{d}", "POST"),
        sdk.Door("/v1/whispers", "WEBSOCKET"),
    }


def test_what_the_table_calls_metered_is(sdk):
    metered = {
        word.split("`")[1]
        for line in sdk.TABLE.read_text().splitlines()
        if "| metered as" in line
        for word in [line.rpartition("metered as")[2]]
    }
    assert metered == {each.NAME for each in dialects()} - sdk.UNMETERED


def test_what_the_table_calls_unmetered_charges_nothing_and_nothing_else_does(sdk):
    for dialect in dialects():
        if dialect.NAME not in sdk.UNMETERED:
            continue
        body = MINIMAL.get(dialect.NAME, b"")
        call = sdk.route("GET", "/v1/models", {}).call
        (facts,) = dialect.read(body, lambda _: TokenRules(), call)
        assert not facts.metered


def test_all_that_can_give_a_models_answer_is_metered_or_refused(sdk):
    for package in sdk.SDKS:
        for door in sdk.doors(package):
            if door.method in {"POST", "WEBSOCKET"} and sdk.treatment(package, door) == "unmetered":
                assert door.path.endswith(("/count_tokens", "/input_tokens")), door

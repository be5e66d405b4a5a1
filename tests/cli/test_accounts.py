"""`weir accounts` against a real embedded store: what one process sets, the next charge tells."""

from __future__ import annotations

import getpass
import json
import subprocess
import sys

import pytest

from proxy.core.standing import Level
from proxy.limits.keys import standing_key
from proxy.store.embedded import start_embedded
from proxy.store.memory import microseconds
from proxy.store.open import open_store

S = 1_000_000
_, ACME = standing_key("default", "acme")
WHY = 'asks "everything", über 5 €'


def accounts(*words: object, folder) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "proxy.cli", "accounts", *map(str, words)],
        capture_output=True, text=True, check=False, cwd=folder, timeout=60,
    )  # fmt: skip


def told(done: subprocess.CompletedProcess[str]):
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A folder with a `.weir` whose embedded store runs, as under `weir serve`."""
    folder = tmp_path_factory.mktemp("house")
    with start_embedded(folder / ".weir") as server:
        yield folder, server


@pytest.fixture
async def worker(house):
    """Counters as a worker has them, open before anything is set."""
    _, server = house
    store = open_store(server.url, deadline_us=2 * S)
    assert (await store.charge([], standing=ACME)).standing is None
    yield store
    await store.close()


async def test_a_level_that_one_process_sets_is_told_with_the_next_charge(house, worker):
    folder, _ = house
    before = microseconds()
    done = accounts(
        "set-level", "restricted", "--for", "72h", "--reason", WHY, "acme", folder=folder
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("acme is restricted until 20")
    standing = (await worker.charge([], standing=ACME)).standing
    assert (standing.level, standing.by, standing.reason) == (
        Level.RESTRICTED, getpass.getuser(), WHY,
    )  # fmt: skip
    assert before < standing.since < microseconds()
    assert standing.until - standing.since == 72 * 3600 * S
    done = accounts("pardon", "--reason", "a customer", "--by", "bob", "acme", folder=folder)
    assert done.stdout == "acme is clear\n"
    assert (await worker.charge([], standing=ACME)).standing is None


def test_what_was_set_is_shown_to_people_with_its_story(house):
    folder, _ = house
    for level, reason in (("watch", "odd hours"), ("contained", "one template, 400 accounts")):
        accounts(
            "set-level", level, "--for", "7d", "--reason", reason, "--by", "ada", "cy",
            folder=folder,
        )  # fmt: skip
    done = accounts("show", "cy", folder=folder)
    assert done.returncode == 0
    head, since, until, by, reason, evidence, title, newest, oldest = done.stdout.splitlines()
    assert head == "cy is contained"
    assert since.endswith(" UTC")
    assert until.endswith((" UTC, 7d from now", " UTC, 6d 23h from now"))
    assert (by, reason) == ("  by      ada", "  reason  one template, 400 accounts")
    assert evidence.startswith("The profile is not read: policies: cannot be read")
    assert title == "history, the newest first"
    assert "contained until" in newest
    assert newest.endswith("by ada: one template, 400 accounts")
    assert oldest.endswith("by ada: odd hours")


def test_every_command_speaks_json(house):
    folder, _ = house
    shown = told(accounts("show", "json", "--json", folder=folder))
    evidence = shown.pop("evidence")
    assert shown == {"account": "json", "level": "clear", "history": []}
    assert (evidence["seen"], evidence["assessment"]) == (None, None)
    said = ("--reason", "why", "--by", "ada", "--json", "json")
    made = told(accounts("set-level", "guarded", "--for", "1m", *said, folder=folder))
    assert (made["account"], made["level"], made["by"], made["reason"]) == (
        "json", "guarded", "ada", "why",
    )  # fmt: skip
    assert made["since"] < made["until"]
    entry = {name: value for name, value in made.items() if name != "account"}
    shown = told(accounts("show", "json", "--json", folder=folder))
    assert shown == {**made, "history": [entry], "evidence": evidence}
    pardoned = told(accounts("pardon", *said, folder=folder))
    assert pardoned == {"account": "json", "level": "clear", "changed": True}
    assert told(accounts("pardon", *said, folder=folder))["changed"] is False
    history = told(accounts("show", "json", "--json", folder=folder))["history"]
    assert [one["level"] for one in history] == ["clear", "clear", "guarded"]
    assert "until" not in history[0]


def test_a_clear_account_is_shown_as_clear_and_its_pardon_changes_nothing(house):
    folder, _ = house
    done = accounts("show", "new", folder=folder)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "new is clear")
    done = accounts("pardon", "--reason", "none", "new", folder=folder)
    assert (done.returncode, done.stdout) == (0, "new was clear already\n")


def test_a_store_that_a_flag_names_is_the_one_that_is_asked(house, tmp_path):
    _, server = house
    done = accounts("show", "new2", "--store", server.url, folder=tmp_path)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "new2 is clear")


WATCH = ("set-level", "watch", "--reason", "why", "acme")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("set-level", "clear", "--for", "1h", "--reason", "x", "a"), "weir accounts pardon"),
        (("set-level", "harsh", "--for", "1h", "--reason", "x", "a"), "'harsh' is not one of"),
        ((*WATCH,), "Missing option '--for'"),
        ((*WATCH, "--for", "59s"), "from 1m to 400d"),
        ((*WATCH, "--for", "401d"), "from 1m to 400d"),
        ((*WATCH, "--for", "ever"), "cannot read 'ever'"),
        ((*WATCH, "--for", "1h", "--by", " "), "--by: 1 to 100 printable"),
        (("set-level", "watch", "--for", "1h", "acme"), "Missing option '--reason'"),
        (("set-level", "watch", "--for", "1h", "--reason", "", "a"), "1 to 500 printable"),
        (("pardon", "--reason", "a\nb", "acme"), "1 to 500 printable"),
        (("pardon", "acme"), "Missing option '--reason'"),
        (("show", "no account"), "'no account' names no account"),
        (("show", "acme"), "the embedded store of --home .weir does not answer"),
        ((*WATCH, "--for", "1h"), "start that, or name another --home"),
        (("pardon", "--reason", "x", "acme", "--store", "redis://127.0.0.1:1"), "redis://127.0.0.1:1 does not answer"),
        (("show", "acme", "--store", "memory"), "store: memory keeps standings within the process"),
        (("show", "acme", "--store", "mysql://x"), "store"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_told_and_exits_with_2(tmp_path, words, sentence):
    done = accounts(*words, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["", "show", "set-level", "pardon", "forget"])
def test_help_teaches_with_an_example(tmp_path, command):
    done = accounts(*filter(None, [command]), "--help", folder=tmp_path)
    assert done.returncode == 0
    assert f"weir accounts {command or 'set-level'} " in done.stdout

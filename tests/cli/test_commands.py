"""The command line at its doors: sentences instead of tracebacks, and exit codes."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import pytest


def weir(*words: object, folder) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "proxy.cli", *map(str, words)],
        capture_output=True, text=True, check=False, cwd=folder, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("words", [["standin"], ["serve", "--store", "memory", "--policies", "p"]])
def test_a_port_that_is_taken_is_a_sentence(tmp_path, words):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        done = weir(*words, "--listen", f"127.0.0.1:{other.getsockname()[1]}", folder=tmp_path)
    assert done.returncode == 2
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_memory_counters_of_two_workers_are_refused_with_the_reason(tmp_path):
    done = weir("serve", "--store", "memory", "--workers", 2, folder=tmp_path)
    assert done.returncode == 2
    assert "memory counters are each process's own" in done.stderr


def test_a_key_is_issued_listed_rotated_and_revoked_and_its_secret_is_shown_once(tmp_path):
    made = json.loads(weir("keys", "issue", "--account", "acme", "--json", folder=tmp_path).stdout)
    turned = weir("keys", "rotate", made["id"], "--grace", "1h", "--json", folder=tmp_path)
    second = json.loads(turned.stdout)
    assert weir("keys", "revoke", second["id"], folder=tmp_path).returncode == 0
    listed = weir("keys", "list", "--json", folder=tmp_path)
    states = {one["id"]: one["state"] for one in json.loads(listed.stdout)}
    assert states[second["id"]] == "revoked"
    assert made["key"] not in listed.stdout + (tmp_path / ".weir" / "keys.yaml").read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["keys", "issue", "--account", "a", "--attr", "x"], "is not name=value"),
        (["keys", "issue", "--account", "a", "--expires", "soon"], "cannot read 'soon'"),
        (["keys", "revoke", "key_none"], "there is no key with this id"),
        (["explain"], "give a decision id, or --account"),
        (["check", "nowhere"], "nowhere"),
        (["serve", "--store", "redis://:pw@127.0.0.1"], "a password in a flag"),
    ],
)
def test_bad_input_is_told_and_exits_with_2(tmp_path, words, sentence):
    done = weir(*words, folder=tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_decision_that_is_not_there_is_found_missing(tmp_path):
    assert weir("explain", "wd_none", folder=tmp_path).returncode == 1


def test_an_accounts_decisions_are_told_as_json_too(tmp_path):
    (tmp_path / "j").mkdir()
    lines = [{"id": f"wd_{n}", "account": account} for n, account in enumerate("aba")]
    lines += [{"kind": "standing", "account": "a", "level": "watch"}]
    text = "".join(json.dumps(one) + "\n" for one in lines)
    (tmp_path / "j" / "decisions-0.jsonl").write_text(text)
    done = weir("explain", "--account", "a", "--journal", "j", "--json", folder=tmp_path)
    told = json.loads(done.stdout)
    assert [one["id"] for one in told["decisions"]] == ["wd_0", "wd_2"]
    assert [one["level"] for one in told["levels"]] == ["watch"]
    assert told["store"]

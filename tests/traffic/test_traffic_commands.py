"""`weir traffic`: exit codes, what is written where, what is told."""

import gzip
import signal
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from proxy.auth.keyring import Keyring
from proxy.auth.keys import hash_key
from proxy.auth.pepper import load_pepper
from proxy.cli.traffic import traffic
from proxy.core.errors import SettingsError, TrafficError
from proxy.traffic.parsing import entry_of
from proxy.traffic.reading import Tally, entries

SAMPLE = Path(__file__).parent / "sample.jsonl"
GOLDEN = Path(__file__).parents[1] / "journal" / "golden"


def weir(*words):
    done = CliRunner().invoke(
        traffic, [str(word) for word in words], standalone_mode=False, catch_exceptions=False
    )
    return done.return_value, done.stdout, done.stderr


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WEIR_PEPPER", raising=False)
    return tmp_path / "home"


def test_check_tells_what_is_in_the_sample():
    code, out, err = weir("check", SAMPLE, "--json")
    told = orjson.loads(out)
    assert (code, err) == (0, "")
    assert (told["read"], told["unreadable"], told["accounts"], told["operators"]) == (41, 0, 7, 5)
    assert (told["first"], told["last"]) == (
        "2026-03-02T09:00:00.000000Z",
        "2026-03-02T09:20:00.000000Z",
    )
    assert told["labels"] == {
        "extraction round_robin": 13,
        "benign chat": 10,
        "benign batch": 7,
        "benign rag": 6,
        "benign hobby": 3,
        "(none)": 2,
    }
    assert told["doors"]["POST /v1/messages"] == 6
    assert told["answers"] == {
        "complete": 36,
        "(not known)": 2,
        "abandoned": 1,
        "broken": 1,
        "error": 1,
    }
    assert told["covers"] == 2


def test_check_tells_unreadable_lines_and_exits_1(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_bytes(SAMPLE.read_bytes() + b'{"t":"soon"}\n')
    code, out, err = weir("check", file)
    assert code == 1
    assert "41 read, 1 unreadable" in out
    assert f"{file}:42: t: must be a number of seconds" in err


def test_check_tells_what_needs_sorting_and_sort_does_it(tmp_path):
    file, out = tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz"
    lines = SAMPLE.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(reversed(lines)))
    code, told, _ = weir("check", file)
    assert code == 1
    assert "weir traffic sort puts that right" in told
    assert weir("sort", file, "--out", out)[0] == 0
    assert sorted(gzip.decompress(out.read_bytes()).splitlines(keepends=True)) == sorted(lines)
    tally = Tally()
    assert list(entries([out], tally)) == list(entries([SAMPLE], Tally()))
    assert tally.late == 0
    assert weir("check", out)[0] == 0
    assert {each.name for each in tmp_path.iterdir()} == {"a.jsonl", "b.jsonl.gz"}


def test_sort_leaves_unreadable_lines_out_and_exits_1(tmp_path):
    file, out = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    file.write_bytes(b"nonsense\n" + SAMPLE.read_bytes())
    code, _, err = weir("sort", file, "--out", out)
    assert code == 1
    assert "1 lines could not be read" in err
    assert len(out.read_bytes().splitlines()) == 41


def test_a_sample_holds_all_traffic_of_its_accounts(tmp_path):
    out = tmp_path / "small.jsonl"
    assert weir("sample", SAMPLE, "--accounts", 3, "--out", out)[0] == 0
    kept = [entry_of(line) for line in out.read_bytes().splitlines()]
    accounts = {entry.account for entry in kept}
    assert len(accounts) == 3
    assert kept == [entry for entry in entries([SAMPLE], Tally()) if entry.account in accounts]


def test_a_journal_becomes_traffic(tmp_path):
    (tmp_path / "journal").mkdir()
    lines = (
        orjson.dumps(orjson.loads(path.read_bytes())) + b"\n"
        for path in sorted(GOLDEN.glob("*.json"))
    )
    (tmp_path / "journal" / "decisions-0.jsonl").write_bytes(b"".join(lines))
    out = tmp_path / "a.jsonl.zst"
    code, _, err = weir("from-journal", tmp_path / "journal", "--out", out)
    assert code == 0
    assert "never came to a decision: left out" in err
    assert all(entry.facts is not None for entry in entries([out], Tally()))


def test_har_becomes_traffic_and_what_is_left_out_is_told(tmp_path):
    request = {
        "method": "POST",
        "url": "https://x/v1/chat/completions",
        "headers": [],
        "postData": {"text": '{"model":"m","messages":[{"role":"user","content":"Hi"}]}'},
    }
    one = {
        "startedDateTime": "2025-11-23T12:13:20Z",
        "time": 5,
        "request": request,
        "response": {"status": 200, "content": {}},
    }
    other = {**one, "request": {**request, "url": "https://x/logo.png"}}
    file, out = tmp_path / "a.har", tmp_path / "a.jsonl"
    file.write_bytes(orjson.dumps({"log": {"entries": [one, other]}}))
    code, _, err = weir("from-har", file, "--account", "acme", "--out", out)
    assert (code, len(out.read_bytes().splitlines())) == (0, 1)
    assert "1 left out: is no door that Weir serves" in err


def test_keys_are_issued_for_all_keys_with_what_the_traffic_knows_of_them(home, tmp_path):
    out = tmp_path / "keys.json"
    code, _, err = weir("keys", SAMPLE, "--home", home, "--out", out)
    assert code == 0
    assert "holds secrets" in err
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    secrets = orjson.loads(out.read_bytes())
    assert set(secrets) == {
        "key_acme",
        "key_beta",
        "key_gamma",
        "key_delta",
        "key_e1",
        "key_e2",
        "zeta",
    }
    pepper = load_pepper(home, {})
    records = {record.hash: record for record in Keyring(home / "keys.yaml", pepper).load()}
    acme, beta, delta = (
        records[hash_key(pepper, secrets[f"key_{name}"])] for name in ("acme", "beta", "delta")
    )
    assert (acme.account, acme.org, acme.plan, acme.verified) == ("acme", "acme", "paid", True)
    assert (beta.org, delta.purpose) == ("beta-org", "batch")


def test_keys_never_overwrite_secrets(home, tmp_path):
    out = tmp_path / "keys.json"
    out.write_bytes(b"{}")
    with pytest.raises(TrafficError, match="is there already"):
        weir("keys", SAMPLE, "--home", home, "--out", out)
    assert out.read_bytes() == b"{}"


def test_keys_for_accounts_that_no_key_can_have_leave_nothing(home, tmp_path):
    file, out = tmp_path / "a.jsonl", tmp_path / "keys.json"
    file.write_bytes(b'{"t":1763900000,"account":"two words","body":{}}\n')
    with pytest.raises(SettingsError, match="account"):
        weir("keys", file, "--home", home, "--out", out)
    assert not out.exists()


def test_a_dash_is_standard_output():
    code, out, err = weir("sort", SAMPLE, "--out", "-")
    assert (code, len(out.splitlines())) == (0, 41)
    assert "standard output: 41 lines" in err


def test_an_interrupted_command_ends_cleanly_and_leaves_no_files_of_its_own(tmp_path):
    file = tmp_path / "a.jsonl"
    with subprocess.Popen(
        [sys.executable, "-m", "proxy.cli", "traffic", "sort", "-", "--out", str(file)],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as sorting:  # fmt: skip
        lines = SAMPLE.read_bytes()
        for _ in range(30):  # more than a pipe holds: it has begun to read
            sorting.stdin.write(lines)
        sorting.send_signal(signal.SIGINT)
        with suppress(BrokenPipeError):
            while True:
                sorting.stdin.write(lines)
        with suppress(BrokenPipeError):
            sorting.stdin.close()
        assert sorting.wait(30) == 130
        assert sorting.stderr.read().strip() == b""
    assert list(tmp_path.iterdir()) == []

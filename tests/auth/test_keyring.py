"""Issuing, rotating, revoking; the file, its lock, its pepper."""

import stat
import subprocess
import sys
import threading
from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.auth.keyfile import KeyFile, key_file, written
from proxy.auth.keyring import Keyring, replace_file
from proxy.auth.keys import KeyRecord, State, hash_key, looks_like_key
from proxy.auth.pepper import ensure_pepper, fingerprint, load_pepper
from proxy.core.errors import SettingsError

SECOND = 1_000_000


def state_of(ring, id_, now):
    return next(record for record in ring.load() if record.id == id_).state(now)


def test_an_issued_key_is_kept_as_a_hash_with_its_principal(ring, path, pepper):
    key = ring.issue(
        "acme", org="umbrella", plan="free", verified=True, purpose="eval",
        attributes={"region": "Zürich"}, expires_in=5 * SECOND,
    )  # fmt: skip
    [record] = ring.load()
    principal = record.principal()
    assert looks_like_key(key.secret)
    assert record.hash == hash_key(pepper, key.secret)
    assert (principal.key, principal.account, principal.org) == (key.id, "acme", "umbrella")
    assert (principal.plan, principal.verified, principal.purpose) == ("free", True, "eval")
    assert principal.attributes == {"region": "Zürich"}
    assert principal.expires == record.created + 5 * SECOND
    assert key.secret not in path.read_text()
    assert key.secret[10:37] not in path.read_text()


def test_the_organisation_is_the_account_where_none_is_given(ring):
    ring.issue("acme")
    assert ring.load()[0].org == "acme"


def test_the_file_is_for_its_owner_only_and_nothing_is_left_beside_it(ring, path):
    ring.issue("acme")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(file.name for file in path.parent.iterdir()) == [".keys.yaml.lock", "keys.yaml"]


def test_a_rotated_key_works_to_the_end_of_its_grace_beside_the_new_one(path, pepper):
    ring = Keyring(path, pepper, clock=lambda: 1000 * SECOND)
    old = ring.issue("acme", plan="free", attributes={"a": "b"})
    new = ring.rotate(old.id, 60 * SECOND)
    first, second = sorted(ring.load(), key=lambda record: record.id != old.id)
    assert first.replaced_by == new.id
    assert second.principal() == replace(first.principal(), key=new.id, expires=None)
    assert state_of(ring, old.id, 1060 * SECOND - 1) is State.REPLACED
    assert state_of(ring, old.id, 1060 * SECOND) is State.EXPIRED
    assert state_of(ring, new.id, 1060 * SECOND) is State.ACTIVE


def test_a_revoked_key_is_revoked_for_good(ring):
    key = ring.issue("acme")
    first = ring.revoke(key.id)
    assert first.revoked_at is not None
    assert ring.revoke(key.id) == first


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda ring, _: ring.issue("a b"), "account: 'a b' must be"),
        (lambda ring, _: ring.issue("a", org=""), "org: '' must be"),
        (lambda ring, _: ring.issue("a", expires_in=0), "expires: must be in the future"),
        (lambda ring, ids: ring.rotate(ids[0], -1), "grace: cannot be negative"),
        (lambda ring, _: ring.rotate("key_x", 1), "there is no key with this id"),
        (lambda ring, _: ring.revoke("weir_live_oops"), "there is no key with this id"),
        (lambda ring, ids: ring.rotate(ids[1], 1), "is revoked and cannot be rotated"),
        (lambda ring, ids: ring.rotate(ids[2], 1), "was rotated to key_"),
    ],
)
def test_a_mistake_is_told_and_changes_nothing(ring, path, act, sentence):
    ids = [ring.issue("acme").id for _ in "abc"]
    ring.revoke(ids[1])
    ring.rotate(ids[2], 10**12)
    before = path.read_bytes()
    with pytest.raises(SettingsError) as error:
        act(ring, ids)
    assert sentence in str(error.value)
    assert "weir_live" not in str(error.value)
    assert path.read_bytes() == before


PROGRAM = """
import sys
from pathlib import Path
from proxy.auth.keyring import Keyring
for _ in range(4):
    print(Keyring(Path(sys.argv[1]), b"p" * 64).issue(sys.argv[2]).id)
"""


def test_keys_issued_by_many_processes_and_threads_at_once_are_all_kept(ring, path):
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(path), f"p{i}"], stdout=subprocess.PIPE, text=True
        )
        for i in range(4)
    ]
    issued = []
    threads = [
        threading.Thread(target=lambda: issued.extend(ring.issue("t").id for _ in range(4)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for process in running:
        issued += process.communicate(timeout=60)[0].split()
        assert process.returncode == 0
    assert len(issued) == 32
    assert sorted(issued) == sorted(record.id for record in ring.load())


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_writer_that_dies_in_the_middle_leaves_the_old_file(ring, path, call):
    ring.issue("acme")
    before = path.read_bytes()
    program = f"""
import os, sys
os.{call} = lambda *_: os._exit(9)
from pathlib import Path
from proxy.auth.keyring import Keyring
Keyring(Path(sys.argv[1]), b"p" * 64).issue("second")
"""
    assert subprocess.run([sys.executable, "-c", program, str(path)], check=False).returncode == 9
    assert path.read_bytes() == before
    ring.issue("third")
    assert [record.account for record in ring.load()] == ["acme", "third"]


def test_a_draft_that_cannot_be_written_is_cleared_away(tmp_path):
    with pytest.raises(UnicodeEncodeError):
        replace_file(tmp_path / "keys.yaml", "\ud800")
    assert list(tmp_path.iterdir()) == []


def test_a_file_reads_the_same_as_written_and_as_edited(ring, path):
    key = ring.issue("acme", verified=True, attributes={"a": "x: {'\"#"}, expires_in=SECOND)
    ring.rotate(key.id, 5)
    ring.revoke(ring.issue("b").id)
    text = path.read_text()
    file = key_file(text, "keys.yaml")
    assert written(file) == text
    assert key_file(text.replace("\nkeys:", "\n# edited\nkeys:"), "keys.yaml") == file


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda text: text + text.splitlines()[-1] + "\n", "the same name stands twice"),
        (lambda text: text.replace('"plan": "free"', '"plan": "free", "plan": "paid"'), "twice"),
        (lambda text: text.replace('"free"', '"fr ee"'), "plan: 'fr ee' must be"),
        (lambda text: text.replace('Z"}', 'Z"'), "is no YAML"),
        (lambda text: text.replace('"free"', "free}"), "is no YAML"),
        (lambda text: text.replace('"free"', "5"), "plan: must be a text"),
        (lambda text: text.replace("key_", "kex_"), "is no key id"),
        (lambda text: text.replace("keys:", "keys: {}"), "is no YAML"),
    ],
)
def test_a_written_file_that_was_edited_wrongly_is_not_read_quickly(ring, path, edit, sentence):
    ring.issue("acme", plan="free")
    edited = edit(path.read_text())
    assert edited != path.read_text()
    with pytest.raises(SettingsError) as error:
        key_file(edited, "k")
    assert sentence in str(error.value)


moments = st.integers(1, 4 * 10**15)
records = st.builds(
    KeyRecord,
    id=st.from_regex(r"key_[0-9A-Za-z]{16}", fullmatch=True),
    hash=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    account=st.text(alphabet="aZ0._:@/+|=~-", min_size=1, max_size=8),
    org=st.just("o"),
    plan=st.sampled_from(["", "free", "null", "1"]),
    verified=st.booleans(),
    attributes=st.dictionaries(
        st.sampled_from(["a", "1", "true"]),
        st.text(min_size=1, max_size=8).filter(str.isprintable),
        max_size=2,
    ).map(MappingProxyType),
    created=st.just(0),
    changed=moments,
    expires=st.none() | moments,
    revoked_at=st.none() | moments,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(records, max_size=3, unique_by=lambda record: record.id))
def test_every_record_reads_as_it_was_written_both_ways(found):
    file = KeyFile("0123456789abcdef", {record.id: record for record in found})
    text = written(file)
    assert key_file(text, "k") == file
    assert key_file("# edited\n" + text, "k") == file


def test_no_keys_are_a_file_too(ring, path, pepper):
    text = written(key_file(f'version: 1\npepper: "{fingerprint(pepper)}"\nkeys: {{}}', "k"))
    assert key_file(text, "k").records == {}
    assert ring.load() == ()


HEAD = 'version: 1\npepper: "0123456789abcdef"\nkeys:\n'
ID = "key_0123456789abcdef"
HASH = f'hash: "{"0" * 64}"'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "k: must begin with version, pepper and keys"),
        ("- a", "k: must begin with version, pepper and keys"),
        ("version: 1\nversion: 1\n", "k:2: the same name stands twice"),
        ("version: 1\nkeys: [", "k:2: is no YAML"),
        ("version: 1\nkeys: \x07", "k: is no YAML"),
        ("version: 2\nkeys: {}", "k: version: must be 1"),
        ("version: 1\nkeys: {}", "k: pepper: must be the 16 hex digits"),
        (HEAD, "k: keys: must be ids with their fields"),
        (HEAD + f"  {ID}: 5", f"k:4: {ID}: must be a key's fields"),
        (HEAD + "  key_x: {account: a, " + HASH + "}", "k:4: key_x: id: 'key_x' is no key id"),
        (HEAD + f"  {ID}: {{account: a}}", f"k:4: {ID}: hash: must be 64 hex digits"),
        (HEAD + f"  {ID}: {{{HASH}}}", f"k:4: {ID}: account: '' must be"),
        (HEAD + f"  {ID}: {{{HASH}, account: 5}}", "account: must be a text"),
        (HEAD + f"  {ID}: {{{HASH}, account: a, verified: 'no'}}", "verified: must be true or"),
        (HEAD + f"  {ID}: {{{HASH}, account: a, secret: b}}", "secret: is no field of a key"),
        (HEAD + f"  {ID}: {{{HASH}, account: a, attributes: [b]}}", "attributes: must be names"),
        (HEAD + f"  {ID}: {{{HASH}, account: a, expires: soon}}", "cannot read 'soon' as a time"),
        (HEAD + f"  {ID}: {{{HASH}, account: a, expires: '2030-01-01'}}", "as a time"),
        (HEAD + f"  {ID}: {{{HASH}, account: a, expires: 2030-01-01}}", "must be a text"),
        (HEAD + f"  {ID}: {{{HASH}, account: a, account: b}}", "k:4: the same name stands twice"),
        (HEAD + f"  {ID}: {{{HASH}, account: a}}\nextra: 1", "k:5: extra: is unknown"),
    ],
)
def test_each_mistake_in_the_file_has_its_line_and_sentence(text, sentence):
    with pytest.raises(SettingsError) as error:
        key_file(text, "k")
    assert sentence in str(error.value)


def test_hashes_under_another_pepper_are_noticed(ring, path):
    ring.issue("acme")
    with pytest.raises(SettingsError, match="hashed under another pepper"):
        Keyring(path, b"q" * 64).issue("acme")


@pytest.mark.parametrize("spoil", [lambda p: p.write_bytes(b"\xff"), lambda p: p.mkdir()])
def test_a_file_that_cannot_be_read_is_told_and_left_alone(ring, path, spoil):
    spoil(path)
    with pytest.raises(SettingsError, match="cannot be read"):
        ring.issue("acme")


def test_a_home_that_cannot_be_made_is_told(tmp_path, pepper):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="cannot be written"):
        Keyring(tmp_path / "file" / "keys.yaml", pepper).issue("acme")


def test_a_pepper_is_made_once_and_for_its_owner_only(tmp_path, path):
    home = tmp_path / "home"
    first = ensure_pepper(home, {}, path)
    assert len(first) == 64
    assert ensure_pepper(home, {}, path) == load_pepper(home, {}) == first
    assert stat.S_IMODE((home / "pepper").stat().st_mode) == 0o600
    assert [file.name for file in home.iterdir()] == ["pepper"]


def test_many_who_start_at_once_agree_on_one_pepper(tmp_path, path):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(ensure_pepper(tmp_path / "h", {}, path)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_the_pepper_of_the_environment_comes_first(tmp_path, path):
    ensure_pepper(tmp_path, {}, path)
    assert load_pepper(tmp_path, {"WEIR_PEPPER": "e" * 32}) == b"e" * 32


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_pepper_that_others_can_touch_is_refused(tmp_path, path, mode):
    secret = ensure_pepper(tmp_path, {}, path).decode()
    (tmp_path / "pepper").chmod(mode)
    with pytest.raises(SettingsError, match="others than its owner can read it") as error:
        load_pepper(tmp_path, {})
    assert secret not in str(error.value)


@pytest.mark.parametrize("text", ["", "short-secret", "a b" * 20, "é" * 40])
def test_a_weak_pepper_is_refused_without_repeating_it(tmp_path, text):
    with pytest.raises(SettingsError, match="at least 32 visible") as error:
        load_pepper(tmp_path, {"WEIR_PEPPER": text})
    assert not text or text not in str(error.value)


def test_a_lost_pepper_is_not_replaced_silently(tmp_path, ring, path):
    ring.issue("acme")
    with pytest.raises(SettingsError, match="is missing, but"):
        ensure_pepper(tmp_path, {}, path)


def test_a_pepper_that_is_no_text_is_told(tmp_path):
    (tmp_path / "pepper").write_bytes(b"\xff" * 40)
    (tmp_path / "pepper").chmod(0o600)
    with pytest.raises(SettingsError, match="cannot be read"):
        load_pepper(tmp_path, {})

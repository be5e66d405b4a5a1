"""The gateway's index of keys: news are felt, bad news are survived."""

import asyncio
import contextlib

import pytest

from proxy.auth.keyindex import KeyIndex
from proxy.auth.keys import new_key
from proxy.core.errors import SettingsError


@pytest.fixture
def errors():
    return []


@pytest.fixture
def index(path, pepper, errors):
    index = KeyIndex(path, pepper, errors.append)
    index.load()
    return index


@contextlib.asynccontextmanager
async def watching(*indices):
    tasks = [asyncio.create_task(index.watch(0.02)) for index in indices]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_a_key_is_found_by_its_secret_and_a_stranger_is_not(ring, path, pepper, errors):
    key = ring.issue("acme")
    index = KeyIndex(path, pepper, errors.append)
    index.load()
    assert index.find(key.secret).principal.account == "acme"
    assert index.find(new_key().secret) is None
    assert key.secret not in repr(index)


async def test_a_first_key_a_revocation_and_a_rotation_are_felt_by_all(
    ring, path, pepper, errors, until
):
    indices = [KeyIndex(path, pepper, errors.append) for _ in range(3)]
    async with watching(*indices):
        key = ring.issue("acme")
        await until(lambda: all(index.find(key.secret) for index in indices), 2)
        new = ring.rotate(key.id, 10**12)
        await until(lambda: all(index.find(new.secret) for index in indices), 2)
        assert all(index.find(key.secret).ends is not None for index in indices)
        ring.revoke(key.id)
        await until(lambda: all(index.find(key.secret).revoked for index in indices), 2)
    assert errors == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_text("keys: ["),
        lambda path: path.write_bytes(b"\xff"),
        lambda path: path.write_text(""),
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.mkdir()),
    ],
)
async def test_a_file_that_goes_bad_keeps_the_keys_and_is_reported_once(
    ring, path, pepper, errors, spoil
):
    key = ring.issue("acme")
    index = KeyIndex(path, pepper, errors.append)
    index.load()
    spoil(path)
    await index.refresh()
    await index.refresh()
    assert index.find(key.secret) is not None
    assert len(errors) == 1
    assert isinstance(errors[0], SettingsError)


async def test_a_file_that_was_bad_and_is_good_again_is_read(ring, path, index, errors):
    key = ring.issue("acme")
    good = path.read_text()
    path.write_text("nonsense")
    await index.refresh()
    path.write_text(good)
    await index.refresh()
    assert index.find(key.secret) is not None
    assert len(errors) == 1


async def test_a_swapped_symlink_is_noticed_every_time(ring, path, pepper, errors, tmp_path):
    keys = []
    for name in "abc":
        keys.append(ring.issue(name))
        (tmp_path / name).mkdir()
        (tmp_path / name / "keys.yaml").write_text(path.read_text())
    link = tmp_path / "mounted"
    link.symlink_to(tmp_path / "a")
    index = KeyIndex(link / "keys.yaml", pepper, errors.append)
    index.load()
    assert len(index) == 1
    for count, name in ((2, "b"), (3, "c")):
        (tmp_path / "next").symlink_to(tmp_path / name)
        (tmp_path / "next").replace(link)
        await index.refresh()
        assert len(index) == count


async def test_a_revoked_key_whose_line_was_copied_stays_revoked(ring, path, index):
    key = ring.issue("acme")
    ring.revoke(key.id)
    text = path.read_text()
    line = text.splitlines()[-1]
    again = line.replace(key.id, "key_zzzzzzzzzzzzzzzz")
    again = again[: again.index(', "revoked_at"')] + "}"
    path.write_text(f"{text}{again}\n")
    await index.refresh()
    assert len(index.records()) == 2
    assert index.find(key.secret).revoked


def test_a_start_with_a_bad_file_is_refused(path, pepper, errors):
    path.write_text("nonsense")
    with pytest.raises(SettingsError):
        KeyIndex(path, pepper, errors.append).load()

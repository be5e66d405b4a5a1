"""Hot reload: what changes on disk is in force soon, and what is bad changes nothing."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from proxy.core.errors import PolicyError
from proxy.policy.loader import load
from proxy.policy.watcher import PolicyWatcher

INTERVAL = 0.02


def text(amount: int) -> str:
    return f"policy: p\nlimits:\n  - {{limit: r, allow: {amount} requests, per: 1m}}\n"


class Seen:
    """What a watcher has told, and a way to wait for more."""

    def __init__(self):
        self.told = []
        self._more = asyncio.Event()

    def take(self, loaded):
        self.tell(loaded.policies.policies[0].limits[0].bucket.amount)

    def keep(self, error):
        assert isinstance(error, PolicyError)
        self.tell(str(error))

    def tell(self, what):
        self.told.append(what)
        self._more.set()

    async def next(self):
        """Return the next thing that is told."""
        async with asyncio.timeout(10):
            while not self.told:
                self._more.clear()
                await self._more.wait()
        return self.told.pop(0)

    async def quiet(self):
        """Assert that nothing is told for many looks."""
        await asyncio.sleep(10 * INTERVAL)
        assert self.told == []


@asynccontextmanager
async def watching(directory, **options):
    seen = Seen()
    watcher = PolicyWatcher(directory, seen.take, seen.keep, INTERVAL, **options)
    task = asyncio.create_task(watcher.run())
    try:
        yield watcher, seen
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_an_edit_is_taken(write):
    directory = write(p=text(1))
    async with watching(directory) as (_, seen):
        await seen.quiet()
        write(p=text(2))
        assert await seen.next() == 2
        write(q=text(3).replace("policy: p", "policy: a-new-one"))
        assert await seen.next() == 2
        (directory / "q.yaml").unlink()
        assert await seen.next() == 2


async def test_a_bad_edit_is_told_once_and_a_good_one_mends_it(write):
    async with watching(write(p=text(1))) as (_, seen):
        write(p=text(1).replace("requests", "apples"))
        assert "cannot count 'apples'" in await seen.next()
        write(p=text(1).replace("requests", "apples"))
        await seen.quiet()
        write(p=text(1).replace("requests", "pears"))
        assert "cannot count 'pears'" in await seen.next()
        write(p=text(1))
        assert await seen.next() == 1


async def test_a_file_that_is_touched_is_no_change(write):
    directory = write(p=text(1))
    async with watching(directory) as (_, seen):
        (directory / "p.yaml").touch()
        await seen.quiet()


async def test_a_directory_that_goes_away_and_comes_back(write, tmp_path):
    directory = tmp_path / "policies"
    directory.mkdir()
    (directory / "p.yaml").write_text(text(1))
    async with watching(directory) as (_, seen):
        directory.rename(tmp_path / "elsewhere")
        assert "cannot be read" in await seen.next()
        (tmp_path / "elsewhere").rename(directory)
        assert await seen.next() == 1


def swap(folder, name: str, amount: int) -> None:
    """Change a directory as the kubelet does: visible names point into a folder behind a link."""
    behind = folder / f"..{name}"
    behind.mkdir()
    (behind / "p.yaml").write_text(text(amount))
    new = folder / "..data_tmp"
    new.symlink_to(behind.name)
    new.rename(folder / "..data")
    if not (folder / "p.yaml").is_symlink():
        (folder / "p.yaml").symlink_to("..data/p.yaml")


async def test_a_configmap_is_swapped_again_and_again(tmp_path):
    swap(tmp_path, "first", 1)
    async with watching(tmp_path) as (_, seen):
        for number, name in enumerate(("second", "third", "fourth"), 2):
            swap(tmp_path, name, number)
            assert await seen.next() == number


async def test_who_asks_is_answered_even_when_nothing_has_changed(write):
    async with watching(write(p=text(1))) as (watcher, seen):
        await seen.quiet()
        watcher.reload()
        assert await seen.next() == 1
        await seen.quiet()


async def test_a_change_between_loading_and_watching_is_not_lost(write):
    directory = write(p=text(1))
    in_force = load(directory).policies.digest
    write(p=text(2))
    async with watching(directory, in_force=in_force) as (_, seen):
        assert await seen.next() == 2


async def test_contents_are_compared_where_times_say_nothing(write, monkeypatch):
    monkeypatch.setattr("proxy.policy.watcher.signature_of", lambda _directory: ())
    async with watching(write(p=text(1)), thorough=2 * INTERVAL) as (_, seen):
        write(p=text(2))
        assert await seen.next() == 2

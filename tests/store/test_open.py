"""Every wrong URL is answered by a sentence, and none by its password."""

from __future__ import annotations

import pytest

from proxy.core.errors import SettingsError
from proxy.store.cluster import ClusterStore
from proxy.store.memory import MemoryStore
from proxy.store.open import open_client, open_store
from proxy.store.redis import RedisStore

GALLERY = [
    # url                                       what the reader is told
    ("",                                        "names no counters (memory, redis://"),
    ("canary",                                  "this names no counters"),
    ("redis:canary@host",                       "this names no counters"),
    ("canary@host:6379",                        "this names no counters"),
    ("mysql://u:canary@host",                   "'mysql' names no counters"),
    ("memory://canary",                         "'memory' names no counters"),
    ("unix://",                                 "unix:// says no server"),
    ("redis://",                                "redis:// says no server"),
    ("redis://u:canary@",                       "redis:// says no server"),
    ("redis://u:canary@host:port/0",            "cannot read this URL"),
    ("redis://u:canary@host:99999",             "cannot read this URL"),
    ("redis://:canary@[::1",                    "cannot read this URL"),
    ("redis://:canary@host?socket_timeout=zz",  "cannot read this URL"),
    ("unix:///x?db=canary",                     "cannot read this URL"),
    ("redis+cluster://",                        "redis+cluster:// says no server"),
    ("redis+cluster://:canary@host:bad",        "cannot read this URL"),
    ("redis+sentinel://:canary@h:1",            "HOST:PORT/SERVICE/DB is needed"),
    ("redis+sentinel://:canary@h:1/m/zz",       "HOST:PORT/SERVICE/DB is needed"),
    ("redis+sentinel://:canary@h:1,/m",         "HOST:PORT/SERVICE/DB is needed"),
    ("redis+sentinel://:canary@h/m",            "each sentinel is HOST:PORT"),
    ("redis+sentinel://:canary@h:1,h:x/m",      "each sentinel is HOST:PORT"),
]  # fmt: skip


@pytest.mark.parametrize("opened", [lambda url: open_store(url, deadline_us=1), open_client])
@pytest.mark.parametrize(("url", "sentence"), GALLERY)
def test_a_url_that_names_no_store(url, sentence, opened):
    with pytest.raises(SettingsError) as caught:
        opened(url)
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("store: ")
    assert "canary" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(("url", "kind"), [
    ("memory",                                   MemoryStore),
    ("redis://host",                             RedisStore),
    ("rediss://u:p@host:6380/1",                 RedisStore),
    ("unix:///run/store.sock?db=1",              RedisStore),
    ("redis+sentinel://:p@h:1,[::1]:2/master/0", RedisStore),
])  # fmt: skip
async def test_a_url_opens_its_store_without_touching_the_network(url, kind):
    store = open_store(url, deadline_us=1000)
    assert isinstance(store, kind)
    await store.close()


async def test_a_cluster_is_opened_by_any_of_its_nodes(cluster):
    store = open_store(cluster.url.replace("redis", "redis+cluster"), deadline_us=2_000_000)
    assert isinstance(store, ClusterStore)
    await store.ping()
    await store.close()


def test_memory_needs_no_client():
    assert open_client("memory") is None

"""Published keys: a real server that rotates, fails, dawdles, lies and is flooded at."""

import asyncio
import json

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from proxy.auth.jwks import PublishedKeys, check_address
from proxy.core.errors import AuthUnavailableError, SettingsError

PUBLIC = rsa.generate_private_key(65537, 2048).public_key()


def key_set(*kids):
    key = jwt.algorithms.RSAAlgorithm.to_jwk(PUBLIC, as_dict=True)
    return json.dumps({"keys": [{**key, "kid": kid} for kid in kids]})


class Issuer:
    """What the issuer answers, and how often it was asked."""

    def __init__(self):
        self.asked = 0
        self.status, self.text, self.headers = 200, key_set("k1"), {}
        self.gate = asyncio.Event()
        self.gate.set()

    async def answer(self, _request):
        self.asked += 1
        await self.gate.wait()
        return web.Response(status=self.status, text=self.text, headers=self.headers)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
async def issuer():
    issuer = Issuer()
    app = web.Application()
    app.router.add_get("/keys", issuer.answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    issuer.url = f"http://127.0.0.1:{runner.addresses[0][1]}/keys"
    issuer.stop = runner.cleanup
    yield issuer
    issuer.gate.set()
    await runner.cleanup()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def errors():
    return []


@pytest.fixture
async def keys(issuer, clock, errors):
    keys = PublishedKeys(
        issuer.url, ["RS256"], clock=clock, on_error=errors.append, max_bytes=20_000, timeout=0.5
    )
    yield keys
    await keys.close()


async def kids(keys, kid=None):
    return [key.kid for key in await keys.find(kid)]


async def test_a_set_is_fetched_once_and_used_while_it_is_fresh(issuer, keys, clock):
    assert await kids(keys, "k1") == ["k1"]
    clock.now += 299
    assert await kids(keys) == ["k1"]
    assert issuer.asked == 1


async def test_many_who_ask_at_once_share_one_fetch(issuer, keys):
    issuer.gate.clear()
    asking = [asyncio.create_task(kids(keys, "k1")) for _ in range(50)]
    await asyncio.sleep(0.05)
    asking[0].cancel()
    issuer.gate.set()
    answers = await asyncio.gather(*asking[1:])
    assert answers == [["k1"]] * 49
    assert issuer.asked == 1


async def test_an_older_set_is_used_while_it_is_fetched_anew(issuer, keys, clock, until):
    await kids(keys)
    issuer.text = key_set("k1", "k2")
    issuer.gate.clear()
    clock.now += 301
    assert await kids(keys, "k1") == ["k1"]
    issuer.gate.set()
    await until(lambda: issuer.asked == 2 and keys._flight is None)
    assert await kids(keys) == ["k1", "k2"]


async def test_a_key_that_was_taken_back_is_gone_after_a_long_silence(issuer, keys, clock):
    await kids(keys)
    issuer.text = key_set("k2")
    clock.now += 601
    assert await kids(keys) == ["k2"]


async def test_a_rotation_is_noticed_by_its_unknown_id(issuer, keys, clock):
    await kids(keys)
    issuer.text = key_set("k1", "k2")
    clock.now += 31
    assert await kids(keys, "k2") == ["k2"]
    assert issuer.asked == 2


async def test_a_flood_of_unknown_ids_costs_one_fetch(issuer, keys, clock):
    await kids(keys)
    clock.now += 31
    flood = [kids(keys, f"../../etc/passwd{i}") for i in range(300)]
    assert await asyncio.gather(*flood) == [[]] * 300
    assert await kids(keys, "again") == []
    assert issuer.asked == 2
    clock.now += 31
    assert await kids(keys, "later") == []
    assert issuer.asked == 3


async def test_a_set_stands_in_for_a_day_while_the_issuer_is_down(
    issuer, keys, clock, errors, until
):
    await kids(keys)
    await issuer.stop()
    for hour in (1, 12, 23):
        clock.now = 1000 + hour * 3600
        assert await kids(keys, "k1") == ["k1"]
        await until(lambda: keys._flight is None)
    assert len(errors) == 3
    clock.now = 1000 + 24 * 3600
    with pytest.raises(AuthUnavailableError):
        await keys.find("k1")


async def test_nobody_waits_again_for_an_issuer_that_failed(issuer, keys, clock):
    await kids(keys)
    issuer.status = 500
    clock.now += 601
    await kids(keys)
    issuer.gate.clear()
    clock.now += 6
    async with asyncio.timeout(0.2):
        assert await kids(keys, "k1") == ["k1"]


async def test_an_unknown_id_after_an_outage_is_only_unknown(issuer, keys, clock):
    await kids(keys)
    issuer.status = 500
    clock.now += 601
    await kids(keys)
    issuer.status = 200
    clock.now += 31
    assert await kids(keys, "k2") == []


async def test_an_unknown_id_during_an_outage_is_not_called_wrong(issuer, keys, clock):
    await kids(keys)
    issuer.status = 500
    clock.now += 31
    with pytest.raises(AuthUnavailableError):
        await keys.find("k2")
    assert await kids(keys, "k1") == ["k1"]


async def test_an_issuer_that_was_never_reached_is_asked_again_after_a_pause(issuer, keys, clock):
    issuer.status = 500
    for _ in range(10):
        with pytest.raises(AuthUnavailableError):
            await keys.find("k1")
    assert issuer.asked == 1
    issuer.status = 200
    clock.now += 5
    assert await kids(keys, "k1") == ["k1"]


@pytest.mark.parametrize(
    "answer",
    [
        ({"status": 404}, "answered with status 404"),
        (
            {"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}},
            "answered with status 302",
        ),
        ({"text": "x" * 30_000}, "is larger than 20000 bytes"),
        ({"text": "<html>"}, "is no JSON"),
        ({"text": "[" * 10_000}, "is no JSON"),
        ({"text": '{"keys": 5}'}, "is no JWK set"),
        ({"text": '{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "k1"}]}'}, "has no usable key"),
        ({"text": json.dumps({"keys": [{}] * 101})}, "is no JWK set of at most 100"),
    ],
)
async def test_each_bad_answer_leaves_the_last_good_set(issuer, keys, clock, errors, answer):
    await kids(keys)
    change, sentence = answer
    vars(issuer).update(change)
    clock.now += 601
    assert await kids(keys, "k1") == ["k1"]
    assert len(errors) == 1
    assert sentence in errors[0]
    assert issuer.asked == 2


async def test_a_slow_issuer_is_waited_for_no_longer_than_the_timeout(issuer, keys, errors):
    issuer.gate.clear()
    async with asyncio.timeout(3):
        with pytest.raises(AuthUnavailableError):
            await keys.find("k1")
    assert errors == ["the key set of the token issuer did not answer in time"]


async def test_closing_ends_a_running_fetch(issuer, keys):
    issuer.gate.clear()
    asking = asyncio.create_task(keys.find("k1"))
    await asyncio.sleep(0.05)
    await keys.close()
    [ended] = await asyncio.gather(asking, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError)


@pytest.mark.parametrize(
    "url", ["https://a.example/k", "http://127.0.0.1/k", "http://[::1]:8/k", "http://localhost/k"]
)
def test_an_address_is_https_or_on_this_machine(url):
    check_address(url)


@pytest.mark.parametrize(
    "url",
    [
        "", "http://a.example/k", "http://127.0.0.1.evil.example/k", "http://10.0.0.1/k", "file:///etc/passwd",
        "ftp://127.0.0.1/", "https://", "https://u:p@a.example/", "https://a:x/", "http://[::1", "//a/b",
    ],
)  # fmt: skip
def test_any_other_address_is_refused(url):
    with pytest.raises(SettingsError, match="jwks_url"):
        PublishedKeys(url, ["RS256"])

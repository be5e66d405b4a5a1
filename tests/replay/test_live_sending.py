"""Traffic as live HTTP: what goes out, when, and how it ends whatever answers."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import orjson
import pytest

from proxy.core.errors import SettingsError
from proxy.core.facts import RequestFacts, Usage
from proxy.replay.live import Keys, Options, load_keys, run, speed_of, target_of
from proxy.replay.live.sender import paced
from proxy.traffic.entry import Answer, Entry

START = 1_763_900_000_000_000
SECRET, OTHER = "sk-canary-7d1f0c", "sk-canary-others"
BODY = {"model": "m", "messages": [{"role": "user", "content": "canary-prompt"}]}
HEAD = b"HTTP/1.1 200 OK\r\nx-weir-decision: wd_1\r\ncontent-type: application/json\r\n"
ANSWER = HEAD + b"content-length: 2\r\n\r\n{}"
STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-weir-decision: wd_1\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
KEYS = Keys({"k": SECRET, "*": OTHER})


def entry(at: int = 0, **more) -> Entry:
    return Entry(START + at, **{"key": "k", "account": "a", "org": "a", "body": BODY, **more})


@asynccontextmanager
async def server(answering):
    """Serve raw HTTP; `answering(reader, writer, request)` for each request, until it closes."""
    requests: list[bytes] = []

    async def serve(reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = 0
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        length = int(line.partition(b":")[2])
                requests.append(head + await reader.readexactly(length))
                await answering(reader, writer, requests[-1])
                if writer.is_closing():
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", requests
    finally:
        listening.close()
        # Those who hang on a request that is never answered are told that nobody waits any more.
        await asyncio.sleep(0)


def saying(*pieces: bytes, close: bool = False):
    async def answering(_reader, writer, _request):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if close:
            writer.close()

    return answering


async def never(reader, _writer, _request):
    await reader.read()


async def sent(answering, entries, **options):
    async with server(answering) as (url, requests):
        found = Options(target_of(url), **{"speed": None, "concurrency": 4, **options})
        return await run(found, entries, KEYS), requests


async def test_openai_gets_a_bearer_and_anthropic_its_own_two_headers():
    entries = [
        entry(retry=2),
        entry(path="/v1/messages", key="another", headers={"anthropic-beta": "b", "cookie": "c"}),
        entry(method="GET", path="/v1/models?limit=5", body=None,
              headers={"anthropic-version": "2024-01-01", "authorization": "Bearer recorded"}),
    ]  # fmt: skip
    result, requests = await sent(saying(ANSWER), entries, concurrency=1)
    heads = [
        request.decode().lower().partition("\r\n\r\n")[0].split("\r\n") for request in requests
    ]
    assert [head[0] for head in heads] == [
        "post /v1/chat/completions http/1.1",
        "post /v1/messages http/1.1",
        "get /v1/models?limit=5 http/1.1",
    ]
    told = [
        {each for each in head[1:] if not each.startswith(("host", "content-", "accept"))}
        for head in heads
    ]
    assert told == [
        {f"authorization: bearer {SECRET}", "x-stainless-retry-count: 2"},
        {f"x-api-key: {OTHER}", "anthropic-version: 2023-06-01", "anthropic-beta: b"},
        {f"x-api-key: {SECRET}", "anthropic-version: 2024-01-01"},
    ]
    assert [request.partition(b"\r\n\r\n")[2] for request in requests] == [
        orjson.dumps(BODY), orjson.dumps(BODY), b"",
    ]  # fmt: skip
    assert result.measured.answered == 3


@pytest.mark.parametrize(
    ("forward", "ip", "told"),
    [
        (True, "203.0.113.9", b"x-forwarded-for: 203.0.113.9"),
        (True, "2001:db8::1", b"x-forwarded-for: 2001:db8::1"),
        (True, "0123456789abcdef", b""),  # a fingerprint
        (True, "1.1.1.1\r\nx: y", b""),
        (False, "203.0.113.9", b""),
    ],
)
async def test_addresses_are_forwarded_where_that_is_asked_for(forward, ip, told):
    _, (request,) = await sent(saying(ANSWER), [entry(ip=ip)], forward_ip=forward)
    assert (told in request.lower()) if told else b"x-forwarded-for" not in request.lower()


async def test_what_cannot_be_sent_is_left_out_and_counted_by_why():
    entries = [
        entry(body=None, facts=RequestFacts("openai.chat")),
        entry(body=None),
        entry(path="/v1/models HTTP/1.1\r\nx: y"),
        entry(path="/v1/mödels"),
        entry(body={"model": "half of a pair \ud800"}),
        entry(),
    ]
    result, requests = await sent(saying(ANSWER), entries)
    assert result.measured.left_out == {"without a body": 2, "not to be sent as HTTP": 3}
    assert (len(requests), result.measured.sent) == (1, 1)
    async with server(saying(ANSWER)) as (url, requests):
        result = await run(Options(target_of(url)), [entry(key="x")], Keys({"k": SECRET}))
    assert (result.measured.left_out, requests) == ({"without a key": 1}, [])
    assert "left out: 1 without a key" in list(result.lines())


def test_moments_are_those_of_the_traffic_divided_by_the_speed():
    entries = [entry(at) for at in (5_000_000, 5_250_000, 5_100_000, 9_000_000)]
    for speed, offsets in [
        (1.0, [0, 250_000, 100_000, 4_000_000]),
        (10.0, [0, 25_000, 10_000, 400_000]),
        (0.5, [0, 500_000, 200_000, 8_000_000]),
        (None, [0, 0, 0, 0]),
    ]:
        assert [at for at, _ in paced(entries, speed)] == offsets


async def test_arrivals_wait_for_their_moment_and_for_nobodys_answer():
    # Nobody is answered before all have arrived: a sender that waits for answers never ends.
    all_there = asyncio.Event()
    heard = 0

    async def answering(_reader, writer, _request):
        nonlocal heard
        heard += 1
        if heard == 8:
            all_there.set()
        await all_there.wait()
        writer.write(ANSWER)

    entries = [entry(10_000 * each) for each in range(8)]
    result, requests = await sent(answering, entries, speed=1.0)
    assert len(requests) == result.measured.answered == 8
    assert all(late >= 0 for late in result.measured.late)
    # From its schedule an answer took at least as long as from its sending.
    latencies = result.measured.all
    waits = zip(latencies.scheduled_whole, latencies.sent_whole, strict=True)
    assert all(scheduled >= sent_ for scheduled, sent_ in waits)


async def test_nothing_is_sent_before_its_moment():
    result, _ = await sent(saying(ANSWER), [entry(), entry(120_000)], speed=4.0)
    # The second was due after 30 ms: the whole took as long at least.
    assert result.measured.span >= 30_000


async def test_a_first_line_that_cannot_be_sent_takes_no_time():
    entries = [entry(body=None), entry(3_600_000_000), entry(3_600_001_000)]
    result, requests = await sent(saying(ANSWER), entries, speed=1.0, lasts=60_000_000)
    assert (result.ended, len(requests)) == ("all sent", 2)


async def test_no_more_are_on_their_way_than_may_be_and_waiting_counts_as_latency():
    running = most = 0

    async def answering(_reader, writer, _request):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        writer.write(ANSWER)

    result, _ = await sent(answering, [entry() for _ in range(12)], concurrency=3)
    assert (most, result.measured.answered) == (3, 12)
    most = 0
    result, _ = await sent(answering, [entry() for _ in range(4)], speed=1.0, open_at_most=1)
    assert (most, result.measured.held) == (1, 3)
    # Four times ten milliseconds, one behind the other: the schedule knows, each sending does not.
    assert max(result.measured.all.scheduled_whole) >= 40_000
    assert any("waited in the sender" in line for line in result.lines())


async def test_sending_ends_by_count_and_by_time():
    many = (entry(at) for at in range(10**9))
    result, requests = await sent(saying(ANSWER), many, most=5)
    assert (result.ended, len(requests)) == ("count", 5)
    result, requests = await sent(
        saying(ANSWER), [entry(), entry(3_600_000_000)], speed=1.0, lasts=50_000
    )
    assert (result.ended, len(requests)) == ("time", 1)
    many = (entry() for _ in range(10**9))
    result, _ = await sent(saying(ANSWER), many, lasts=50_000, most=10**9)
    assert result.ended == "time"


SECONDS = {"connect": 2_000_000, "idle": 100_000, "whole": 300_000, "grace": 2_000_000}
HOSTILE = {
    "never answers": (never, {"timeout": 2}),
    "closes at once": (saying(close=True), {"reset": 2}),
    "closes half-way through the head": (saying(HEAD, close=True), {"reset": 2}),
    "closes half-way through the body": (saying(HEAD + b"content-length: 99\r\n\r\n{", close=True), {"reset": 2}),
    "stops half-way through the body": (saying(HEAD + b"content-length: 99\r\n\r\n{"), {"timeout": 2}),
    "closes half-way through a stream": (saying(STREAM + b"5\r\ndata:", close=True), {"reset": 2}),
    "says garbage": (saying(b"\x00\x01\x02 garbage\r\n\r\n", close=True), {"garbage": 2}),
    "says a chunk that is none": (saying(STREAM + b"zz\r\n", close=True), {"garbage": 2}),
    "says a head without end": (saying(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000), {"garbage": 2}),
    "redirects": (saying(b"HTTP/1.1 302 F\r\nlocation: /v1/x\r\ncontent-length: 0\r\n\r\n"), {"status 302": 2}),
    "fails": (saying(b"HTTP/1.1 502 Bad\r\ncontent-length: 0\r\n\r\n"), {"status 502": 2}),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_server_is_counted_and_ends_within_bounds(name):
    answering, errors = HOSTILE[name]
    async with asyncio.timeout(10):
        result, requests = await sent(answering, [entry(), entry()], **SECONDS)
    assert result.measured.errors == errors
    assert (result.measured.sent, result.ended) == (2, "all sent")
    # Nothing is tried again, nobody is followed.
    assert len(requests) == 2
    assert SECRET not in repr(result) + "".join(result.lines()) + str(result.as_dict())


async def test_a_server_that_drips_for_ever_is_left_when_the_whole_is_too_long():
    async def dripping(_reader, writer, _request):
        writer.write(STREAM)
        while not writer.is_closing():
            writer.write(b"1\r\n:\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with asyncio.timeout(10):
        result, _ = await sent(dripping, [entry()], **SECONDS)
    assert result.measured.errors == {"timeout": 1}


async def test_nobody_there_is_an_error_of_connecting():
    async with server(never) as (url, _):
        pass
    result = await run(Options(target_of(url)), [entry()], KEYS)
    assert result.measured.errors == {"connect": 1}


async def test_a_server_without_tls_is_told_as_such():
    async with server(saying(ANSWER)) as (url, _):
        target = target_of(url.replace("http:", "https:"))
        result = await run(Options(target, connect=100_000), [entry()], KEYS)
    assert sum(result.measured.errors.values()) == 1
    assert result.measured.answered == 0


async def test_what_is_on_its_way_when_time_is_up_gets_a_grace_and_is_left_then():
    async with asyncio.timeout(10):
        result, _ = await sent(never, [entry()], speed=1.0, grace=50_000)
    assert result.measured.errors == {"unfinished": 1}
    assert result.ended == "all sent"


async def test_a_recorded_client_that_left_before_the_first_token_leaves_after_its_time():
    left = Answer(end="abandoned", lasted=30_000)
    result, _ = await sent(never, [entry(answer=left)])
    assert (result.measured.abandoned, result.measured.errors) == (1, {})


async def test_a_recorded_client_that_left_in_a_stream_leaves_after_as_many_tokens():
    def event(word: str) -> bytes:
        data = b'data: {"choices": [{"index": 0, "delta": {"content": "%s "}}]}\n\n' % word.encode()
        return b"%x\r\n%s\r\n" % (len(data), data)

    async def answering(_reader, writer, _request):
        writer.write(STREAM)
        while not writer.is_closing():
            writer.write(event("word"))
            await writer.drain()
            await asyncio.sleep(0.001)

    left = Answer(end="abandoned", usage=Usage(relayed=5))
    streamed = entry(answer=left, body={**BODY, "stream": True})
    async with asyncio.timeout(10):
        result, _ = await sent(answering, [streamed])
    assert (result.measured.abandoned, result.measured.errors) == (1, {})
    assert result.measured.bytes_in > 4 * len(event("word")) - 30


async def test_an_echo_of_the_secret_is_told_nowhere():
    async def echoing(_reader, writer, request):
        body = orjson.dumps({"error": {"code": "sk-lowercase", "message": request.decode()}})
        writer.write(
            b'HTTP/1.1 429 No\r\nx-weir-decision: wd_1;codes="sk-lowercase"\r\n'
            b"x-weir-shape: sk-lowercase\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
        )

    async with server(echoing) as (url, _):
        result = await run(Options(target_of(url)), [entry()], Keys({"*": "sk-lowercase"}))
    told = repr(result) + str(result.as_dict()) + "".join(result.lines())
    assert "sk-lowercase" not in told
    assert "canary-prompt" not in told


async def test_keys_that_share_a_secret_are_told_as_one_account():
    entries = [entry(key="x"), entry(key="y"), entry(key="z"), entry(key="k")]
    result, _ = await sent(saying(ANSWER), entries)
    assert result.measured.shared == 2


def test_a_keys_file_is_json_or_yaml_and_its_mistakes_repeat_no_secret(tmp_path):
    def read(text: str) -> Keys:
        (tmp_path / "keys").write_text(text)
        return load_keys(tmp_path / "keys")

    assert read('{"k": "one", "*": "two"}').secret("k") == "one"
    assert read("k: one\n'*': two\n").secret("x") == "two"
    assert read("{k: one}").secret("x") is None
    assert "one" not in repr(read("k: one\n"))
    for text, told in [
        ("", "holds no keys"),
        ("[]", "the file: cannot be read"),
        ("k: canary\nk: canary\n", "keys:2:1: k: cannot be read"),
        ("k: 'canary two'\n", "'k': its secret must be text"),
        ("k: canary\u00e9\n", "'k': its secret must be text"),
        ("k: 5\n", "'k': its secret must be text"),
        ('{"k": ["canary"]}', "'k': its secret must be text"),
        ('{"k": "canary', "cannot be read"),
        ("k: canary: canary", "cannot be read"),
        ("k: ''\n", "'k': its secret must be text"),
    ]:
        with pytest.raises(SettingsError) as caught:
            read(text)
        assert told in str(caught.value), text
        assert "canary" not in str(caught.value)
    with pytest.raises(SettingsError, match="cannot be read"):
        load_keys(tmp_path / "none")


def test_targets_and_speeds_say_what_would_do():
    assert str(target_of("http://127.0.0.1:8080/")) == "http://127.0.0.1:8080/"
    assert str(target_of("https://gw.example/weir/")) == "https://gw.example/weir"
    for text, told in [
        ("http://user:canary@host/", "holds credentials"),
        ("http://canary@host/", "holds credentials"),
        ("ftp://host/", "must begin with http"),
        ("127.0.0.1:8080", "must begin with http"),
        ("http://", "must begin with http"),
        ("http://host:99999/", "is no URL"),
        ("http://host/?key=canary", "no query"),
        ("http://host/#x", "no query and no fragment"),
        ("http://host/v1", "leave out /v1"),
    ]:
        with pytest.raises(SettingsError) as caught:
            target_of(text)
        assert told in str(caught.value), text
        assert "canary" not in str(caught.value)
    for text in ["", "fast", "0x", "-1x", "1", "1e9x", "nanx", "9999999x"]:
        with pytest.raises(SettingsError, match="--speed"):
            speed_of(text)


async def test_a_target_behind_a_path_keeps_it():
    async with server(saying(ANSWER)) as (url, requests):
        await run(Options(target_of(f"{url}/weir/")), [entry()], KEYS)
    assert requests[0].startswith(b"POST /weir/v1/chat/completions ")


async def test_latencies_are_by_effect_and_percentiles_by_rank():
    shaped = replace(entry(), key="k")
    answer = ANSWER.replace(b"wd_1", b'wd_1;codes="limit.shaped clamp.n"')
    result, _ = await sent(saying(answer), [shaped])
    told = result.as_dict()
    assert list(told["latency_by_effect"]) == ["shape"]
    assert set(told["latency"]["whole_from_schedule"]) == {"p50", "p90", "p99", "max"}
    orjson.dumps(told)

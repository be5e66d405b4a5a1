"""Whatever a model API writes, and whenever clients leave: no hang, no leak, one family of errors."""

import asyncio
import contextlib
import gc
import random
from itertools import pairwise
from pathlib import Path

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.core.errors import UpstreamError
from proxy.settings.schema import UpstreamSettings
from proxy.upstream.client import HttpUpstream

CHAT = "/v1/chat/completions"
QUICK = {"connect_timeout": "400ms", "first_byte_timeout": "80ms", "idle_timeout": "80ms"}
JSON = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n{" + b" " * 4 + b"}"
STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    b"8\r\ndata: 1\n\r\n8\r\ndata: 2\n\r\n0\r\n\r\n"
)
UNTIL = b"HTTP/1.1 200 OK\r\n\r\nuntil the end"
EMPTY = b"HTTP/1.1 204 No\r\n\r\n"
HINTS = b"HTTP/1.1 103 Hints\r\nlink: x\r\n\r\n"
PARTS = [JSON, STREAM, UNTIL, EMPTY, HINTS, b"HTTP/1.1 302 X\r\n\r\n", b"zz\r\n", b"\0", b""]
LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])


class Model:
    """Answers each request by the next of some scripts: pieces, and then 'keep', 'end' or 'reset'.

    A piece that is a number is a wait of so many milliseconds.
    """

    def __init__(self, scripts):
        self.scripts = scripts
        self.asked = 0
        self.serving = 0

    async def __call__(self, reader, writer):
        self.serving += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length or 0))
                pieces, after = self.scripts[self.asked % len(self.scripts)]
                self.asked += 1
                for piece in pieces:
                    if isinstance(piece, int):
                        await asyncio.sleep(piece / 1000)
                    else:
                        writer.write(piece)
                        await asyncio.sleep(0)
                if after == "reset":
                    writer.transport.abort()
                    return
                if after == "end":
                    return
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        except RuntimeError:  # how uvloop tells that the connection is closed
            assert writer.is_closing()
        finally:
            self.serving -= 1
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def model(scripts, **values):
    """Yield (a client, the model) and see that neither has anything left in the end."""
    made = Model(scripts)
    server = await asyncio.start_server(made, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    values = {"name": "x", "url": f"http://127.0.0.1:{port}", **QUICK, **values}
    client = HttpUpstream(UpstreamSettings.model_validate(values))
    try:
        yield client, made
        pool = client.pool
        assert (pool.lent, pool.waiting) == (0, 0)
        async with asyncio.timeout(5):
            while len(pool.open) != pool.kept:
                await asyncio.sleep(0.001)  # what was cut off is being closed
    finally:
        await client.close()
        server.close()
    assert not client.pool.open
    async with asyncio.timeout(5):
        while made.serving:
            await asyncio.sleep(0.001)


async def ask(client, method="POST", size=2, stop=None):
    """Return how an exchange ended; `stop` leaves it after so many pieces."""
    try:
        async with client.open(method, CHAT, {}, bytes(size)) as answer:
            count = 0
            async for _ in answer.chunks():
                count += 1
                if count == stop:
                    return "left"
    except UpstreamError as error:
        return error.code
    return "complete"


def cut(raw, places):
    """Return some bytes cut at some places."""
    ends = [0, *sorted({min(each, len(raw)) for each in places}), len(raw)]
    return [raw[a:b] for a, b in pairwise(ends) if a < b]


def descriptors():
    """Return how many files are open, where the system tells."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


scripts = st.lists(
    st.tuples(
        st.builds(
            cut,
            st.lists(st.sampled_from(PARTS) | st.binary(max_size=12), max_size=3).map(b"".join),
            st.lists(st.integers(0, 150), max_size=4),
        ),
        st.sampled_from(["keep", "keep", "end", "reset"]),
    ),
    min_size=1,
    max_size=5,
)


@LOOPS
@given(
    scripts=scripts,
    methods=st.lists(st.sampled_from(["GET", "POST", "HEAD"]), min_size=1, max_size=6),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes_cut_anywhere_end_an_exchange_in_time(loop, scripts, methods):
    async def story():
        async with model(scripts, max_connections=3) as (client, made):
            async with asyncio.timeout(10):
                ends = await asyncio.gather(*[ask(client, method) for method in methods])
            assert set(ends) <= {
                "complete", "upstream.garbage", "upstream.reset", "upstream.timed_out",
            }  # fmt: skip
            assert made.asked <= len(methods) + methods.count("GET") + methods.count("HEAD")

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(story())


@LOOPS
@pytest.mark.parametrize("seed", range(3))
def test_clients_that_leave_at_any_moment_leak_nothing(loop, seed):
    """Hundreds at once, a few connections, each client cancelled at a random moment or not."""
    dice = random.Random(seed)
    scripts = [
        (cut(dice.choice(PARTS[:6]), [dice.randrange(120) for _ in range(3)]), dice.choice(["keep"] * 6 + ["end", "reset"]))
        for _ in range(40)
    ]  # fmt: skip
    scripts += [([STREAM[:100], dice.randrange(1, 4), STREAM[100:]], "keep") for _ in range(40)]
    dice.shuffle(scripts)

    async def story():
        ends = []

        async def one(client):
            size = dice.choice([2, 2, 2, 2_500_000])
            task = asyncio.create_task(
                ask(client, dice.choice(["GET", "POST"]), size, dice.choice([None, None, 1]))
            )
            if dice.random() < 0.5:
                for _ in range(dice.randrange(12)):
                    await asyncio.sleep(0)
                if dice.random() < 0.5:
                    await asyncio.sleep(dice.random() / 50)
                task.cancel()
            try:
                ends.append(await task)
            except asyncio.CancelledError:
                ends.append("cancelled")

        async with model(scripts, max_connections=8, connect_timeout="20s") as (client, _):
            async with asyncio.timeout(60):
                await asyncio.gather(*[one(client) for _ in range(400)])
        assert len(ends) == 400
        assert ends.count("complete") > 20
        assert ends.count("cancelled") > 20

    loop().close()  # libuv opens a pipe for all its loops with the first
    before = descriptors()
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(story())
    gc.collect()
    assert descriptors() <= before

"""Attackers and unlucky developers against a whole gateway: what they try, and what they get."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anthropic
import openai
import pytest

POLICY = """\
policy: {plan}
when: {{plan: {plan}}}
limits:
  - {{limit: never, allow: 1 tokens, per: 24h, by: [account], otherwise: {{shape: small}}}}
  - {{limit: streams, allow: 10_000 concurrent, by: [account]}}
shapes:
  small: {{{shape}}}
"""
PAID = """\
policy: paid
limits:
  - {limit: tokens, allow: 1_000_000_000 tokens, per: day, by: [account]}
  - {limit: streams, allow: 10_000 concurrent, by: [account]}
ladder:
  - {level: contained, refuse: account_under_review}
"""
SHAPES = {
    "cut": "truncate: {output_tokens: 5}",
    "low": "clamp: {effort: low, n: 1, output_tokens: 50}",
    "slow": "delay: 20s",
}
WORDS = [f"w{index}" for index in range(400)]
CANARY = "canary-prompt-91c2"


def chunk(text, **more):
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    told = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: %b\n\n" % json.dumps(told | {"choices": [choice]} | more).encode()


class Provider:
    """A model API that answers as its model's name says, and tells how far it got."""

    def __init__(self) -> None:
        self.sent: dict[str, int] = {}
        self.seen: list[tuple[str, str, bytes]] = []
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                provider.seen.append((self.command, self.path, body))
                asked = json.loads(body or b"{}")
                kind = str(asked.get("model", "")).partition(":")[2] or "models"
                getattr(provider, kind)(self, asked)

            do_GET = do_DELETE = do_POST  # noqa: N815 - http.server's names

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/v1"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def _begin(self, line, kind) -> None:
        line.send_response(200)
        line.send_header("content-type", kind)
        line.send_header("connection", "close")
        line.end_headers()
        line.close_connection = True

    def _words(self, line, name, pace) -> None:
        self.sent[name] = 0
        try:
            for word in WORDS:
                line.wfile.write(chunk(word + " "))
                line.wfile.flush()
                self.sent[name] += 1
                time.sleep(pace)
            line.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            return

    def models(self, line, _asked):
        """What keys are tried out with."""
        self._begin(line, "application/json")
        line.wfile.write(b'{"object":"list","data":[]}')

    def plain(self, line, _asked):
        """A stream that calls itself plain text."""
        self._begin(line, "text/plain")
        self._words(line, "plain", 0.01)

    def shouted(self, line, _asked):
        """A stream whose type is spelled with capitals."""
        self._begin(line, "Text/Event-Stream; charset=utf-8")
        self._words(line, "shouted", 0.01)

    def early(self, line, _asked):
        """Usage before anything is said, and none after."""
        self._begin(line, "text/event-stream")
        usage = {"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3}
        line.wfile.write(chunk("", usage=usage))
        line.wfile.write(b"".join(chunk(word + " ") for word in WORDS[:20]))
        line.wfile.write(b"data: [DONE]\n\n")

    def lies(self, line, _asked):
        """Usage that no answer can have."""
        self._begin(line, "text/event-stream")
        line.wfile.write(b"".join(chunk(word + " ") for word in WORDS[:20]))
        for output in (-5, "7", 10**30, 1.5, None, True):
            usage = {"prompt_tokens": output, "completion_tokens": output}
            line.wfile.write(chunk("", usage=usage))
        line.wfile.write(b"data: [DONE]\n\n")

    def whole(self, line, _asked):
        """A JSON body, also to those who asked for a stream."""
        said = {"role": "assistant", "content": " ".join(WORDS[:50])}
        body = {"id": "c", "object": "chat.completion", "created": 1, "model": "m",
                "choices": [{"index": 0, "message": said, "finish_reason": "stop"}]}  # fmt: skip
        self._begin(line, "application/json")
        line.wfile.write(json.dumps(body).encode())

    def hurried(self, line, asked):
        """A good answer that says when to come again."""
        line.send_response(200)
        line.send_header("retry-after", "1")
        line.send_header("content-type", "application/json")
        line.send_header("connection", "close")
        line.end_headers()
        line.close_connection = True
        said = {"role": "assistant", "content": " ".join(WORDS[:50])}
        choice = {"index": 0, "message": said, "finish_reason": "stop"}
        line.wfile.write(json.dumps({"id": "c", "choices": [choice]}).encode())

    def kept(self, line, asked):
        """A response that is kept whole, whoever hangs up on it."""
        self._begin(line, "text/event-stream")
        made = {"id": f"resp_{asked['input']}", "object": "response", "status": "in_progress", "output": []}  # fmt: skip
        try:
            for number, told in enumerate(
                [
                    {"type": "response.created", "response": made},
                    *(
                        {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": f"{word} ", "logprobs": []}
                        for word in WORDS
                    ),
                ]
            ):  # fmt: skip
                line.wfile.write(b"data: %b\n\n" % json.dumps({"sequence_number": number} | told).encode())  # fmt: skip
                line.wfile.flush()
                time.sleep(0.01)
        except OSError:
            return


@pytest.fixture(scope="module")
def provider():
    running = Provider()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def odd(started_once, provider):
    """A gateway in front of the odd provider."""
    texts = {plan: POLICY.format(plan=plan, shape=shape) for plan, shape in SHAPES.items()}
    flags = {"workers": 1}
    with started_once(paid=PAID, flags=flags, upstream=provider.url, **texts) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def house(started_once):
    """A gateway in front of the stand-in, with a plan for each shape."""
    texts = {plan: POLICY.format(plan=plan, shape=shape) for plan, shape in SHAPES.items()}
    with started_once(paid=PAID, flags={"workers": 1}, **texts) as gateway:
        yield gateway


def account_of(gateway, plan="paid"):
    account = f"{plan}-{time.monotonic_ns()}"
    return account, gateway.issue(account, plan)[1]


def ask(gateway, secret, path="/v1/chat/completions", method="POST", headers=(), **body):
    """One request, as bytes: its status, headers and body."""
    with closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)) as line:
        told = {"authorization": f"Bearer {secret}", "content-type": "application/json", **dict(headers)}  # fmt: skip
        line.request(method, path, json.dumps(body) if body else None, told)
        answer = line.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()  # fmt: skip


def chat(model, **more):
    return {"model": model, "messages": [{"role": "user", "content": "hello"}], **more}


@pytest.mark.parametrize("kind", ["plain", "shouted"])
def test_a_stream_by_another_type_is_cut_and_its_model_stops(odd, provider, kind):
    _, secret = account_of(odd, "cut")
    status, _, body = ask(odd, secret, **chat(f"standin:{kind}", stream=True))
    assert status == 200
    assert b"w4" in body
    assert b"w5" not in body
    assert b"[DONE]" in body
    assert odd.eventually(lambda: provider.sent[kind] > 5)
    time.sleep(0.1)
    assert provider.sent[kind] < 100


def test_a_stream_whose_type_is_shouted_comes_as_it_is_made(odd):
    _, secret = account_of(odd)
    with odd.client(secret) as client:
        began = time.monotonic()
        with client.chat.completions.create(**chat("standin:shouted", stream=True)) as stream:
            next(iter(stream))
            assert time.monotonic() - began < 2


@pytest.mark.parametrize("kind", ["early", "lies"])
def test_usage_that_cannot_be_does_not_make_an_answer_free(odd, kind):
    account, secret = account_of(odd)
    assert ask(odd, secret, **chat(f"standin:{kind}", stream=True))[0] == 200
    (record,) = odd.eventual_records(account, 1)
    assert (record["end"], record["usage"]["charged_output"]) == ("complete", 20)
    assert record["usage"]["charged_input"] in (1, 3)


def test_an_answer_that_says_when_to_come_again_is_not_free(odd):
    account, secret = account_of(odd)
    assert ask(odd, secret, **chat("standin:hurried"))[0] == 200
    (record,) = odd.eventual_records(account, 1)
    assert (record["end"], record["usage"]["charged_output"]) == ("complete", 50)


def test_an_answer_that_one_hangs_up_on_is_not_read_for_nothing_later(odd):
    account, secret = account_of(odd)
    with odd.client(secret) as client:
        events = client.responses.create(model="standin:kept", input=account, stream=True)
        made = next(iter(events)).response.id
        assert ask(odd, secret, f"/v1/responses/{made}", "GET")[0] == 200
        events.close()
    assert odd.eventually(lambda: ask(odd, secret, f"/v1/responses/{made}", "GET")[0] == 404)


@pytest.mark.parametrize("stream", [False, True])
def test_a_body_where_a_stream_was_asked_for_is_cut_too(odd, stream):
    _, secret = account_of(odd, "cut")
    status, _, body = ask(odd, secret, **chat("standin:whole", stream=stream))
    assert (status, b"w4" in body, b"w5" in body) == (200, True, False)


@pytest.fixture(scope="module")
def paid(house):
    """The key of an account with wide limits, for what leaves no trace in them."""
    return account_of(house)[1]


@pytest.fixture(scope="module")
def low(house):
    return account_of(house, "low")[1]


@pytest.fixture
def made(house):
    """An account, its key, and a response that is kept for it."""
    account, secret = account_of(house)
    with house.client(secret) as client:
        return account, secret, client.responses.create(model="standin", input=f"Of {account}.").id


BODY = {"model": "standin", "max_tokens": 9}
METERED = {
    "chat": ("POST", "/v1/chat/completions", {**BODY, "messages": [{"role": "user", "content": CANARY}]}),
    "completion": ("POST", "/v1/completions", {**BODY, "prompt": CANARY}),
    "embedding": ("POST", "/v1/embeddings", {"model": "standin", "input": CANARY}),
    "response": ("POST", "/v1/responses", {"model": "standin", "input": CANARY}),
    "background": ("POST", "/v1/responses", {"model": "standin", "input": CANARY, "background": True}),
    "message": ("POST", "/v1/messages", {**BODY, "messages": [{"role": "user", "content": CANARY}]}),
    "stored": ("GET", "/v1/responses/{made}", {}),
    "stored stream": ("GET", "/v1/responses/{made}?stream=true", {}),
    "stored, deleted": ("DELETE", "/v1/responses/{made}", {}),
    "stored, cancelled": ("POST", "/v1/responses/{made}/cancel", {}),
    "stored, its items": ("GET", "/v1/responses/{made}/input_items", {}),
}  # fmt: skip


def contain(house, account, *words):
    house.weir(
        "accounts", "set-level", "contained", account, "--for", "1h", "--reason", "odd", "--by",
        "ada", "--home", house.home, *words,
    )  # fmt: skip


def test_a_contained_account_is_refused_on_every_metered_door(house, made):
    account, secret, identity = made
    contain(house, account)
    for name, (method, path, body) in METERED.items():
        status, headers, told = ask(house, secret, path.format(made=identity), method, **body)
        assert status == 403, name
        assert headers["x-should-retry"] == "false"
        assert headers["x-weir-decision"].startswith("wd_")
        assert "account_under_review" in told.decode(), name


def test_nobody_elses_object_is_had_by_any_way(house, made):
    _, _, theirs = made
    _, secret = account_of(house)
    item = theirs.replace("resp_", "msg_")
    ways = [
        ("GET", f"/v1/responses/{theirs}", {}),
        ("GET", f"/v1/responses/{theirs}?stream=true&starting_after=0", {}),
        ("GET", f"/v1/responses/{theirs}/input_items", {}),
        ("POST", f"/v1/responses/{theirs}/cancel", {}),
        ("DELETE", f"/v1/responses/{theirs}", {}),
        *(
            (
                "POST",
                path,
                {"model": "standin", "input": [{"role": "user", "content": "hi"}, *items], **more},
            )
            for path in ("/v1/responses", "/v1/responses/input_tokens")
            for items, more in (
                ([], {"previous_response_id": theirs}),
                ([], {"prompt_cache_options": {"comparison_response_id": theirs}}),
                ([{"type": "item_reference", "id": item}], {}),
                ([{"id": item}], {}),
                ([{"type": "reasoning", "id": "rs_1", "summary": []}], {}),
                ([{"type": "image_generation_call", "id": "ig_1"}], {}),
            )
        ),
    ]
    for method, path, body in ways:
        status, headers, told = ask(house, secret, path, method, **body)
        assert status == 404, (path, body)
        assert "not found" in told.decode()
        # What is not there at all is told in the same words.
        _, _, unknown = ask(
            house, secret, path.replace(theirs, "resp_0"), method,
            **json.loads(json.dumps(body).replace(theirs, "resp_0").replace(item, "msg_0")),
        )  # fmt: skip
        assert unknown.decode().replace("resp_0", "").replace("msg_0", "") == (
            told.decode().replace(theirs, "").replace(item, "")
        )
        assert headers["x-weir-decision"].startswith("wd_")
    with house.client(made[1]) as client:
        assert client.responses.retrieve(theirs).id == theirs


def test_an_object_that_was_deleted_is_built_on_by_nobody(house, made):
    _, secret, identity = made
    assert ask(house, secret, f"/v1/responses/{identity}", "DELETE")[0] == 200
    for _ in range(2):
        status, _, _ = ask(house, secret, "/v1/responses", model="standin", input="x", previous_response_id=identity)  # fmt: skip
        assert status == 404


ODD_IDS = ["resp_1\n2", "resp_{1}", "resp_1}:claim", "ü" * 200, "🜁", "../x", "a" * 256, " ", "*", "resp_1\u0000"]  # fmt: skip


@pytest.mark.parametrize("identity", ODD_IDS, ids=ascii)
def test_an_odd_id_is_an_unknown_one(house, paid, identity):
    for more in ({"previous_response_id": identity}, {"input": [{"type": "item_reference", "id": identity}]}):  # fmt: skip
        status, headers, _ = ask(house, paid, "/v1/responses", **{"model": "standin", "input": "x", **more})  # fmt: skip
        assert status == 404
        assert headers["content-type"].startswith("application/json")


def test_who_hangs_up_on_a_background_stream_pays_for_what_came(house):
    account, secret = account_of(house)
    said = "[[tokens=900 pace=1ms]] Long."
    with (
        house.client(secret) as client,
        client.responses.create(
            model="standin", input=said, background=True, stream=True
        ) as events,
    ):
        came = 0
        for event in events:
            came += event.type == "response.output_text.delta"
            if came == 600:
                break
    (record,) = house.eventual_records(account, 1)
    assert record["end"] == "abandoned"
    assert record["usage"]["charged_output"] >= 600


def wait_and_leave(house, secret):
    line = socket.create_connection(("127.0.0.1", house.port), 10)
    data = json.dumps(METERED["chat"][2]).encode()
    line.sendall(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: w\r\nauthorization: Bearer %b\r\n"
        b"content-length: %d\r\n\r\n%b" % (secret.encode(), len(data), data)
    )
    return line


def test_a_crowd_that_leaves_while_it_waits_frees_its_places_at_once(house, standin):
    """As many as one account may have waiting, twice: the second crowd finds their places."""
    account, secret = account_of(house, "slow")
    standin.reset()
    for round_ in (1, 2):
        lines = [wait_and_leave(house, secret) for _ in range(60)]
        time.sleep(0.5)
        for line in lines:
            line.close()
        records = house.eventual_records(account, 60 * round_)
        assert {one["end"] for one in records} == {"abandoned"}
        assert all(one["usage"]["charged_input"] == 0 for one in records)
    assert standin.stats()["recent"] == []
    held = house.store().execute_command("KEYS", f"*{account}*streams*lease*")
    assert all(house.store().zcard(key) == 0 for key in held)


PATHS = [
    "//v1/chat/completions", "/v1//chat/completions", "/v1/chat/completions/", "/v1/./chat/completions",
    "/v1/x/../chat/completions", "/v1/chat%2Fcompletions", "/v1/chat/completions%00", "/V1/chat/completions",
    "/v1/chat/completions;x=1", "/v1/chat/completions?stream=true", "/v1/chat/completions#x", "/v1/chat/completions?",
    "/v1/responses?stream=true", "/v1/responses/", "/v1/responses/resp_1/", "/v1/responses/resp_1/cancel/",
    "/v1/responses/resp_1/../../files", "/v1/messages?beta=true&model=x", "/v1/messages/", "/v1/messages/batches",
    "http://weir/v1/chat/completions", "/v1/models/../chat/completions", "*", "/v1/responses/resp_1%2Fcancel",
    "/v1/engines/x/completions", "/v1/chat/completions/chatcmpl-1", "/openai/deployments/x/chat/completions",
]  # fmt: skip


@pytest.mark.parametrize("method", ["POST", "GET", "HEAD", "PUT", "OPTIONS", "post", "TRACE"])
def test_no_path_but_the_listed_ones_reaches_a_model(house, paid, standin, method):
    standin.reset()
    data = json.dumps(METERED["chat"][2]).encode()
    for path in PATHS:
        with socket.create_connection(("127.0.0.1", house.port), 10) as line:
            line.sendall(
                b"%b %b HTTP/1.1\r\nhost: w\r\nauthorization: Bearer %b\r\nconnection: close\r\n"
                b"content-length: %d\r\n\r\n%b"
                % (method.encode(), path.encode(), paid.encode(), len(data), data)
            )
            answer = b""
            while piece := line.recv(65_536):
                answer += piece
        assert answer[9:12] in {b"400", b"403", b"404", b"405"}, (path, answer[:80])
    assert standin.stats()["recent"] == []


@pytest.mark.parametrize(
    "effort", ['x"; codes="none', "x\r\nx-evil: 1", "ü" * 32, '\\"', "x\u0000y", "a" * 32, "😀"]
)
def test_what_a_developer_writes_cannot_break_out_of_our_headers(house, low, effort):
    status, headers, _ = ask(house, low, **METERED["chat"][2], reasoning_effort=effort)
    assert status in {200, 400}
    assert "x-evil" not in headers
    assert headers["x-weir-decision"].partition(";")[2] == 'codes="limit.shaped clamp.effort"'  # fmt: skip
    shape = headers["x-weir-shape"]
    assert shape.isascii()
    assert shape.isprintable()
    assert len(shape) < 400
    # Each quotation ends where we end it.
    bare = shape.replace("\\\\", "").replace('\\"', "")
    assert bare.count('"') % 2 == 0
    assert bare.endswith('given="low"')


FAULTS = ["error=500", "error=429", "error=400", "error=200", "error_at=3", "reset=3", "garbage=3", "nodone", "refusal=bio", "usage=none"]  # fmt: skip


def test_neither_prompt_nor_key_is_told_anywhere(house):
    """By every door, well and badly, in every shape: then all that is kept and said is searched."""
    secrets = {plan: account_of(house, plan)[1] for plan in ("paid", "cut", "low")}
    asks = []
    for name, (method, path, body) in METERED.items():
        if method != "POST" or "{" in path:
            continue
        for fault in ("", *FAULTS):
            said = json.loads(json.dumps(body).replace(CANARY, f"[[tokens=9 {fault}]] {CANARY}"))
            asks += [(name, path, {**said, **stream}) for stream in ({}, {"stream": True})]
        wrong = json.loads(json.dumps(body).replace("standin", f"nobody {CANARY}"))
        asks.append((name, path, {**wrong, "model": CANARY}))
        asks += [(name, path, {**body, member: CANARY}) for member in ("n", "stream", "tools", "max_tokens", "temperature", "user")]  # fmt: skip

    def one(asked):
        name, path, body = asked
        for secret in secrets.values():
            _, headers, told = ask(house, secret, path, **body)
            assert headers["x-weir-decision"].startswith("wd_"), (name, body)
            assert secret not in str(headers) + told.decode()
            assert CANARY not in str(headers)
            assert "upstream-secret" not in str(headers) + told.decode()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, asks))
    metrics = house.get("/metrics")[1]
    journal = json.dumps([{**one, "model": ""} for one in house.records(chat=False)])
    for kept in (metrics, journal, house.text):
        assert CANARY not in kept
        assert "upstream-secret" not in kept
        assert not any(secret in kept for secret in secrets.values())


CLASSES = {
    400: (openai.BadRequestError, anthropic.BadRequestError),
    401: (openai.AuthenticationError, anthropic.AuthenticationError),
    403: (openai.PermissionDeniedError, anthropic.PermissionDeniedError),
    404: (openai.NotFoundError, anthropic.NotFoundError),
    429: (openai.RateLimitError, anthropic.RateLimitError),
}


def test_what_is_refused_is_raised_as_what_it_is(house, made):
    _, secret, _ = made
    with house.client(secret) as one, house.claude(secret) as two, house.client("x") as no_one:
        tries = [
            (400, lambda: one.responses.create(model="standin", input="x", background=True, store=False)),
            (400, lambda: one.responses.create(model="standin", input=[{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}])),
            (401, lambda: no_one.responses.create(model="standin", input="x")),
            (403, one.files.list),
            (403, one.conversations.create),
            (403, lambda: one.images.generate(prompt="x")),
            (403, two.messages.batches.list),
            (403, two.beta.files.list),
            (404, lambda: one.responses.retrieve("resp_unknown")),
            (404, lambda: one.responses.create(model="standin", input="x", previous_response_id="resp_unknown")),
            (400, lambda: two.messages.create(model="standin", max_tokens=5, messages=[{"role": "user", "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}]}])),
        ]  # fmt: skip
        for status, call in tries:
            with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as raised:
                call()
            assert raised.value.status_code == status, raised.value
            assert isinstance(raised.value, CLASSES[status])
            assert len(raised.value.message) > 20
            assert raised.value.response.headers["x-weir-decision"].startswith("wd_")
            assert raised.value.request_id == raised.value.response.headers["x-weir-decision"]


ODD_NAMES = [
    "",
    " ",
    "a b",
    "ü",
    "{x}",
    "a}b",
    "x:y\nz",
    "a" * 129,
    "a\x00b",
    "-h",
    "../x",
    "a\ud800",
]


def test_an_odd_name_or_duration_is_refused_by_the_command(house):
    from click.testing import CliRunner  # noqa: PLC0415

    from proxy.cli import accounts  # noqa: PLC0415

    told = ["--reason", "x", "--by", "ada", "--home", str(house.home)]
    for name in ODD_NAMES:
        done = CliRunner().invoke(accounts, ["set-level", "watch", "--for", "1h", *told, "--", name])  # fmt: skip
        assert done.exit_code == 2 or name in {"-h", "../x"}, (name, done.output, done.exception)
    for length in (
        "0s",
        "59s",
        "401d",
        "-1h",
        "1",
        "h",
        "1h1h1h",
        "9" * 400 + "d",
        "nan",
        "1e9d",
        "١h",
        "",
    ):
        done = CliRunner().invoke(accounts, ["set-level", "watch", "--for", length, *told, "acme"])  # fmt: skip
        assert done.exit_code == 2, (length, done.output, done.exception)
    for reason in ("", " ", "a\nb", "\x1b[31m", "x" * 501, "\u202e"):
        done = CliRunner().invoke(accounts, ["pardon", "--reason", reason, "--by", "ada", "--home", str(house.home), "acme"])  # fmt: skip
        assert done.exit_code == 2, (reason, done.output, done.exception)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json; charset=utf-7", 400),
        ('application/json; a=b; Charset = "UTF-16"', 400),
        ("application/json; charset=utf-8", 200),
        ('application/json;charset="UTF8"', 200),
        ("text/plain", 200),
    ],
)
def test_a_body_is_read_in_one_character_set_by_all(house, paid, kind, status):
    """In UTF-7 `+ACI-` is a quotation mark: a server that heeds it would see other members."""
    assert ask(house, paid, headers={"content-type": kind}, **METERED["chat"][2])[0] == status

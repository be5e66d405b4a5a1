"""Bytes that no honest client sends: refused in order, unseen by the model, and forgotten."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import re
import select
import socket
import time
from functools import cache

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

CANARY = "canary-prompt-7d1f0c"
WRONG = "weir_live_canarykey7d1f0cZZZZZZZZZZZZZZZZZZZ"
SETTINGS = """\
limits: {{header_timeout: 1s, body_timeout: 1s}}
auth:
  jwt: {{issuer: "https://issuer.test", audience: [weir], algorithms: [RS256], key_file: {key},
        claims: {{account: sub}}}}
"""
STATUS = re.compile(rb"(?:^|(?<=\n)|(?<=\}))HTTP/\d\.\d (\d{3})")
CHAT = b"POST /v1/chat/completions HTTP/1.1"
HOST = b"host: w"
JSON = b"content-type: application/json"
SECRET = b"@SECRET@"
AUTH = b"authorization: Bearer " + SECRET
GOOD = json.dumps(
    {"model": "standin", "messages": [{"role": "user", "content": f"[[tokens=2]] {CANARY}"}]}
).encode()


def request(
    *heads: bytes, line: bytes = CHAT, body: bytes = GOOD, length: int | None = -1
) -> bytes:
    """Return a request; length: -1 for the body's own, None for no such header."""
    told = (
        () if length is None else (b"content-length: %d" % (len(body) if length < 0 else length),)
    )
    return b"\r\n".join((line, *heads, *told, b"", body))


def post(*heads: bytes, **more) -> bytes:
    return request(HOST, AUTH, JSON, *heads, **more)


def get(path: bytes, *heads: bytes, method: bytes = b"GET") -> bytes:
    return request(
        HOST, AUTH, *heads, line=method + b" " + path + b" HTTP/1.1", body=b"", length=None
    )


def told(path: bytes, method: bytes = b"POST") -> bytes:
    return post(line=method + b" " + path + b" HTTP/1.1")


def chunked(body: bytes) -> bytes:
    return post(b"transfer-encoding: chunked", body=body, length=None)


def said(text: str) -> bytes:
    """Return a post of JSON where the word CONTENT stands for good content."""
    content = f'"[[tokens=2]] {CANARY}"'
    return post(body=text.replace("CONTENT", content).encode("utf-8", "surrogatepass"))


def zipped(body: bytes) -> bytes:
    return post(b"content-encoding: gzip", body=body)


@cache
def bomb() -> bytes:
    return gzip.compress(b'{"model":"standin","x":"' + b"a" * 40_000_000 + b'"}', 9)


MESSAGES = '"messages":[{"role":"user","content":CONTENT}]'
CUT = 0  # closed without an answer
OK = (200,)
BAD = (400,)
NO = (401,)
GONE = (404,)
SHUT = (403,)  # known, and not served
# name, bytes, the statuses that the connection gives, in order
FRAMING = {
    "good": (post(), OK),
    "good chunked": (chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (len(GOOD), GOOD)), OK),
    "good gzip": (zipped(gzip.compress(GOOD)), OK),
    "two lengths": (post(b"content-length: 5"), BAD),
    "two equal lengths": (post(b"content-length: %d" % len(GOOD)), BAD),
    "a list of lengths": (post(b"content-length: 5, 5", length=None), BAD),
    "a signed length": (post(b"content-length: +%d" % len(GOOD), length=None), BAD),
    "a negative length": (post(b"content-length: -1", length=None), BAD),
    "a hexadecimal length": (post(b"content-length: 0x10", length=None), BAD),
    "an empty length": (post(b"content-length: ", length=None), BAD),
    "an endless length": (post(b"content-length: " + b"9" * 40, length=None), BAD),
    "a length too large": (post(length=99_000_000), (413,)),
    "length and coding": (post(b"transfer-encoding: chunked", body=b"0\r\n\r\n"), BAD),
    "coding and length": (post(b"content-length: 5", b"transfer-encoding: chunked",
                               body=b"0\r\n\r\n", length=None), BAD),
    "an empty coding": (post(b"transfer-encoding: "), BAD),
    "an empty coding alone": (post(b"transfer-encoding: ", length=None), BAD),
    "coding identity": (post(b"transfer-encoding: identity", length=None), BAD),
    "coding gzip, chunked": (post(b"transfer-encoding: gzip, chunked", length=None,
                                  body=b"0\r\n\r\n"), BAD),
    "coding chunked, identity": (post(b"transfer-encoding: chunked, identity", length=None), BAD),
    "coding twice": (post(b"transfer-encoding: chunked", b"transfer-encoding: chunked",
                          length=None, body=b"0\r\n\r\n"), BAD),
    "coding xchunked": (post(b"transfer-encoding: xchunked", length=None), BAD),
    "coding with a vertical tab": (post(b"transfer-encoding: \x0bchunked", length=None), BAD),
    "coding with space before the colon": (post(b"transfer-encoding : chunked", length=None), BAD),
    "coding with an underscore": (post(b"transfer_encoding: chunked",
                                       body=b"0\r\n\r\n", length=None), BAD),
    "chunk size no number": (chunked(b"zz\r\nabc\r\n0\r\n\r\n"), BAD),
    "chunk size signed": (chunked(b"-1\r\nabc\r\n0\r\n\r\n"), BAD),
    "chunk size prefixed": (chunked(b"0x3\r\nabc\r\n0\r\n\r\n"), BAD),
    "chunk size endless": (chunked(b"f" * 40 + b"\r\nabc\r\n0\r\n\r\n"), BAD),
    "chunk size huge": (chunked(b"7fffffffffffffff\r\nabc\r\n0\r\n\r\n"), (408,)),
    "chunk without its end": (chunked(b"3\r\nabcd\r\n0\r\n\r\n"), BAD),
    "chunk lines of LF": (chunked(b"3\nabc\n0\n\n"), BAD),
    "chunk extension flood": (chunked(b"3;" + b"a=b;" * 50_000 + b"\r\nabc\r\n0\r\n\r\n"), BAD),
    "many chunk extensions": (chunked(b"1;a=b\r\nx\r\n" * 5_000 + b"0\r\n\r\n"), BAD),
    "trailer flood": (chunked(b"3\r\nabc\r\n0\r\n" + b"a: b\r\n" * 20_000 + b"\r\n"), BAD),
    "trailer credentials": (
        request(HOST, JSON, b"transfer-encoding: chunked", length=None,
                body=b"%x\r\n%b\r\n0\r\n" % (len(GOOD), GOOD) + AUTH + b"\r\n\r\n"), NO),
}  # fmt: skip
HEADS = {
    "no host": (request(AUTH, JSON), BAD),
    "two hosts": (post(b"host: v"), BAD),
    "a list of hosts": (request(b"host: a, b", AUTH, JSON), BAD),
    "an empty host": (request(b"host: ", AUTH, JSON), BAD),
    "a host with a path": (request(b"host: w/v1", AUTH, JSON), BAD),
    "a host with a user": (request(b"host: a@w", AUTH, JSON), BAD),
    "an absolute target": (told(b"http://w/v1/chat/completions"), BAD),
    "an absolute target elsewhere": (told(b"http://169.254.169.254/v1/chat/completions"), BAD),
    "an asterisk": (told(b"*", b"OPTIONS"), BAD),
    "connect": (request(HOST, line=b"CONNECT w:443 HTTP/1.1", body=b"", length=None), BAD),
    "trace": (get(b"/v1/chat/completions", method=b"TRACE"), (405,)),
    "options": (get(b"/v1/chat/completions", method=b"OPTIONS"), (405,)),
    "head": (get(b"/v1/models", method=b"HEAD"), (405,)),
    "get": (get(b"/v1/chat/completions"), SHUT),
    "a made-up method": (get(b"/v1/chat/completions", method=b"FROB"), BAD),
    "a method in lower case": (told(b"/v1/chat/completions", b"post"), BAD),
    "a body on get": (post(line=b"GET /v1/models HTTP/1.1"), BAD),
    "a chunked body on get": (get(b"/v1/models", b"transfer-encoding: chunked") + b"0\r\n\r\n", BAD),
    "websocket": (get(b"/v1/models", b"connection: upgrade", b"upgrade: websocket",
                      b"sec-websocket-version: 13", b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=="),
                  SHUT),
    "upgrade to h2c": (post(b"connection: upgrade", b"upgrade: h2c"), BAD),
    "http/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", BAD),
    "http/0.9": (b"GET /v1/models\r\n\r\n", BAD),
    "http/3.0": (request(HOST, AUTH, line=b"GET /v1/models HTTP/3.0", body=b"", length=None), BAD),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 60, BAD),
    "a huge header": (post(b"x-big: " + b"a" * 100_000), BAD),
    "many headers": (post(*(b"x-%d: y" % index for index in range(20_000))), BAD),
    "a huge target": (told(b"/v1/" + b"a" * 100_000), BAD),
    "a null in a header": (post(b"x-a: b\x00c"), BAD),
    "a null in a name": (post(b"x-\x00a: b"), BAD),
    "a null in the target": (told(b"/v1/chat/completions\x00"), (400, 404)),
    "a bare carriage return": (post(b"x-a: b\rx-c: d"), BAD),
    "lines of LF": (post().replace(b"\r\n", b"\n"), BAD),
    "one line of LF": (post().replace(b"host: w\r\n", b"host: w\n"), BAD),
    "a folded header": (post(b"x-a: b\r\n c"), BAD),
    "a folded credential": (request(HOST, b"authorization: Bearer\r\n " + SECRET, JSON), BAD),
    "a nameless header": (post(b": b"), BAD),
    "a header without a colon": (post(b"canary-prompt-7d1f0c"), BAD),
    "a space in a name": (post(b"x a: canary-prompt-7d1f0c"), BAD),
    "a broken credential line": (request(HOST, b"authorization: Bearer " + SECRET + b"\x00", JSON),
                                 BAD),
    "expect something else": (post(b"expect: 200-canary"), OK),
    "expect with the body at once": (post(b"expect: 100-continue"), OK),
}  # fmt: skip
PATHS = {
    path: (told(path.encode()), GONE)
    for path in (
        "/v1/chat%2fcompletions", "//v1/chat/completions", "/v1/./chat/completions",
        "/v1/x/../chat/completions", "/v1/chat/completions/", "/v1/chat/completions;a=b",
        "/v1/chat/completions?a=b", "/v1/chat/completions?", "/v1/chat/completions%00",
        "/v1/chat/completions%20", "/V1/chat/completions", "/v1//chat/completions",
        "/v1/chat/%63ompletions", "/v1\\chat\\completions", "/v1/file", "/metrics", "/-/reload",
        "/v1/models/..%2fchat", "/", "/v1/chat/completions#x",
    )
}  # fmt: skip
BODIES = {
    "empty": (post(body=b""), BAD),
    "no json": (post(body=b"canary-prompt-7d1f0c"), BAD),
    "100k lists deep": (post(body=b"[" * 100_000 + b"]" * 100_000), BAD),
    "100k objects deep": (post(body=b'{"a":' * 100_000), BAD),
    "deep inside": (said('{"model":"standin",' + MESSAGES + ',"x":' + "[" * 100_000 + "]" * 100_000
                         + "}"), BAD),
    "NaN": (said('{"model":"standin",' + MESSAGES + ',"temperature":NaN}'), BAD),
    "Infinity": (said('{"model":"standin",' + MESSAGES + ',"x":-Infinity}'), BAD),
    "a number too large": (said('{"model":"standin",' + MESSAGES + ',"max_tokens":1e999}'), BAD),
    "a huge integer": (said('{"model":"standin",' + MESSAGES + ',"max_tokens":' + "9" * 5000 + "}"),
                       BAD),
    "a key twice": (said('{"model":"standin","model":"gpt-5",' + MESSAGES + "}"), BAD),
    "a key twice by an escape": (said('{"model":"standin","mod\\u0065l":"gpt-5",' + MESSAGES + "}"),
                                 BAD),
    "a nested key twice": (said('{"model":"standin","messages":[{"role":"user","content":CONTENT,'
                                '"c\\u006fntent":"x"}]}'), BAD),
    "max_tokens twice": (said('{"model":"standin","max_tokens":1,"max_token\\u0073":4096,' + MESSAGES
                              + "}"), BAD),
    "a trailing comma": (said('{"model":"standin",' + MESSAGES + ",}"), BAD),
    "a comment": (said('{"model":"standin",/*x*/' + MESSAGES + "}"), BAD),
    "two documents": (post(body=GOOD + GOOD), BAD),
    "a null behind": (post(body=GOOD + b"\x00"), BAD),
    "a byte-order mark": (post(body=b"\xef\xbb\xbf" + GOOD), BAD),
    "utf-16": (post(body=GOOD.decode().encode("utf-16")), BAD),
    "invalid utf-8": (post(body=GOOD.replace(b"canary", b"\xff\xfecanary")), BAD),
    "overlong utf-8": (post(body=GOOD.replace(b"canary", b"\xc0\xafcanary")), BAD),
    "a raw surrogate": (post(body=GOOD.replace(b"canary", b"\xed\xa0\x80canary")), BAD),
    "a lone surrogate": (said('{"model":"standin","messages":[{"role":"user","content":"\\ud800 '
                              + CANARY + '"}]}'), BAD),
    "a lone surrogate as a model": (said('{"model":"\\udfff",' + MESSAGES + "}"), BAD),
    "a control character": (post(body=GOOD.replace(b"canary", b"\x01canary")), BAD),
    "a list": (post(body=b"[" + GOOD + b"]"), BAD),
    "text": (post(body=b'"canary-prompt-7d1f0c"'), BAD),
    "an unknown role": (post(body=GOOD.replace(b'"user"', b'"canary-prompt-7d1f0c"')), (200, 400)),
    "a gzip bomb": (zipped(bomb()), (413,)),
    "gzip cut short": (zipped(gzip.compress(GOOD)[:-9]), BAD),
    "gzip with something behind": (zipped(gzip.compress(GOOD) + b"x"), BAD),
    "gzip twice over": (zipped(gzip.compress(gzip.compress(GOOD))), BAD),
    "two gzip members": (zipped(gzip.compress(GOOD) + gzip.compress(GOOD)), BAD),
    "no gzip at all": (zipped(GOOD), BAD),
    "an empty gzip": (zipped(b""), BAD),
    "gzip untold": (post(body=gzip.compress(GOOD)), BAD),
    "deflate": (post(b"content-encoding: deflate"), BAD),
    "br": (post(b"content-encoding: br"), BAD),
    "gzip, gzip": (post(b"content-encoding: gzip, gzip", body=gzip.compress(GOOD)), BAD),
    "two codings": (post(b"content-encoding: identity", b"content-encoding: gzip",
                         body=gzip.compress(GOOD)), BAD),
}  # fmt: skip
LOGINS = {
    "none": (request(HOST, JSON), NO),
    "an underscored header": (request(HOST, JSON, b"x_api_key: " + SECRET), NO),
    "authorization underscored": (request(HOST, JSON, b"author_ization: Bearer " + SECRET), NO),
    "in the query": (request(HOST, JSON, line=b"GET /v1/models?api-key=" + SECRET + b" HTTP/1.1",
                             body=b"", length=None), NO),
    "in a cookie": (request(HOST, JSON, b"cookie: authorization=" + SECRET), NO),
    "basic": (request(HOST, JSON, b"authorization: Basic " + SECRET), NO),
    "two different": (post(b"x-api-key: " + WRONG.encode()), NO),
    "two different, wrong first": (request(HOST, JSON, b"authorization: Bearer " + WRONG.encode(),
                                           b"api-key: " + SECRET), NO),
    "the same thrice": (post(b"x-api-key: " + SECRET, b"api-key: " + SECRET), OK),
    "authorization twice": (post(AUTH), NO),
    "authorization in two cases": (post(b"AUTHORIZATION: Bearer " + WRONG.encode()), NO),
    "x-api-key twice": (post(b"x-api-key: " + SECRET, b"x-api-key: " + SECRET), NO),
    "a list": (request(HOST, JSON, AUTH + b", Bearer " + SECRET), NO),
    "100 kB": (request(HOST, JSON, b"authorization: Bearer weir_live_" + b"a" * 100_000), BAD),
    "30 kB": (request(HOST, JSON, b"authorization: Bearer weir_live_" + b"a" * 30_000), NO),
    "latin-1": (request(HOST, JSON, b"authorization: Bearer weir_live_\xe9\xe8"), NO),
    "utf-8": (request(HOST, JSON, "authorization: Bearer weir_live_\u20ac".encode()), NO),
    "a tail of utf-8": (request(HOST, JSON, AUTH + "\u00e9".encode()), NO),
    "only the scheme": (request(HOST, JSON, b"authorization: Bearer"), NO),
    "only spaces": (request(HOST, JSON, b"authorization: Bearer    "), NO),
    "two words": (request(HOST, JSON, AUTH + b" x"), NO),
    "wide spaces": (request(HOST, JSON, b"authorization:  bearer   " + SECRET + b"  "), OK),
    "wrong": (request(HOST, JSON, b"authorization: Bearer " + WRONG.encode()), NO),
    "a letter more": (request(HOST, JSON, AUTH + b"A"), NO),
    "empty": (request(HOST, JSON, b"authorization: "), NO),
    "a null": (request(HOST, JSON, b"x-api-key: \x00"), BAD),
}  # fmt: skip
PIPES = {
    "garbage behind": (post() + b"\x00\x01garbage canary-prompt-7d1f0c\r\n\r\n", BAD),
    "a smuggled length": (post(b"content-length: 5") + get(b"/v1/models"), BAD),
    "a refused one, then a good one": (post(length=None, body=b"") + get(b"/v1/models?smuggled"),
                                       BAD),
    "two good ones": (post() + post(), (200, 200)),
    "broken body, then a good one": (chunked(b"zz\r\n") + post(), BAD),
}  # fmt: skip
SLOW = {
    "a head that never ends": (CHAT + b"\r\nhost: w\r\nx-a: ", (CUT, 400, 408)),
    "half a request line": (b"POST /v1/ch", (CUT, 400, 408)),
    "nothing at all": (b"", (CUT, 400, 408)),
    "a body that never ends": (post(length=1000), (408,)),
    "a chunk that never ends": (chunked(b"fff\r\nabc"), (408,)),
}
TABLE = [
    pytest.param(raw, expected, id=f"{kind}: {name}")
    for kind, rows in (
        ("framing", FRAMING), ("head", HEADS), ("path", PATHS), ("body", BODIES),
        ("login", LOGINS), ("pipe", PIPES), ("slow", SLOW),
    )
    for name, (raw, expected) in rows.items()
]  # fmt: skip
ONE_OF = {"a null in the target", "an unknown role", *SLOW}


def talk(port: int, raw: bytes, patience: float = 4.0) -> tuple[list[int], bytes, bool]:
    """Return the statuses, all that was answered, and whether the connection was closed."""
    got, closed = b"", False
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as peer:
        try:
            peer.sendall(raw)
        except ConnectionError:
            closed = True
        while select.select([peer], [], [], quiet(got) or patience)[0]:
            try:
                piece = peer.recv(65_536)
            except ConnectionError:
                piece = b""
            if not piece:
                closed = True
                break
            got += piece
    return [int(one) for one in STATUS.findall(got)], got, closed


def quiet(got: bytes) -> float:
    """Return how long to wait for more: not long once the last answer is whole."""
    head, _, body = got[got.rfind(b"HTTP/1.") :].partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    whole = length is not None and len(body) >= int(length[1])
    return 0.12 if whole and b"connection: close" not in head.lower() else 0.0


class House:
    """A Weir with everything on, its key, and the key that its tokens are signed with."""

    def __init__(self, weir, key: rsa.RSAPrivateKey, public: bytes) -> None:
        self.weir, self.key, self.public = weir, key, public
        self.id, self.secret = weir.issue()
        self.seen = b""

    def ask(self, raw: bytes) -> tuple[list[int], bytes, bool]:
        found = talk(self.weir.port, raw.replace(SECRET, self.secret.encode()))
        self.seen += found[1]
        return found

    def token(self, **changed) -> str:
        now = int(time.time())
        claims = {"iss": "https://issuer.test", "aud": "weir", "sub": "tokened", "iat": now,
                  "exp": now + 300, **changed}  # fmt: skip
        return jwt.encode(claims, self.key, "RS256", headers={"typ": "JWT"})


@pytest.fixture(scope="module")
def house(fortress, tmp_path_factory):
    key = rsa.generate_private_key(65537, 2048)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    path = tmp_path_factory.mktemp("keys") / "issuer.pem"
    path.write_bytes(public)
    with fortress(SETTINGS.format(key=path), workers=2) as weir:
        made = House(weir, key, public)
        assert eventually(lambda: by(made, made.secret) == {200}, 3)
        yield made


@pytest.fixture
def unmoved(house, standin):
    """Hold that the same workers are alive after a test; give the count of upstream requests."""
    before = house.weir.workers()
    assert len(before) == 2

    def reached() -> int:
        stats = standin.stats()
        return stats["requests"] + stats["active"]

    yield reached
    assert house.weir.workers() == before


@pytest.mark.parametrize(("raw", "expected"), TABLE)
def test_hostile_bytes_are_answered_in_order_and_stay_outside(
    house, unmoved, request, raw, expected
):
    before = unmoved()
    statuses, answered, closed = house.ask(raw)
    name = request.node.callspec.id.partition(": ")[2]
    if name in ONE_OF:
        assert (statuses or [CUT])[0] in expected
        assert len(statuses) <= 1
    else:
        assert tuple(statuses) == expected
    assert statuses or closed
    assert unmoved() - before == statuses.count(200)
    assert CANARY.encode() not in answered or 200 in statuses
    assert house.secret.encode() not in answered


def test_refusals_of_the_parser_are_told_natively(house):
    _, answered, closed = house.ask(post(b"x a: b"))
    body = json.loads(answered.partition(b"\r\n\r\n")[2])
    assert body["error"]["type"] == "invalid_request_error"
    assert b"python" not in answered.lower()
    assert b"aiohttp" not in answered.lower()
    assert closed


@pytest.mark.parametrize("name", [
    "chunk size no number", "chunk size signed", "chunk size endless", "chunk without its end",
    "chunk lines of LF", "chunk extension flood", "trailer flood",
])  # fmt: skip
def test_framing_that_breaks_after_the_head_was_taken_is_told_at_once(house, unmoved, name):
    before = unmoved()
    head, mark, body = (
        FRAMING[name][0].replace(SECRET, house.secret.encode()).partition(b"\r\n\r\n")
    )
    with socket.create_connection(("127.0.0.1", house.weir.port), timeout=4) as peer:
        peer.sendall(head + mark)
        time.sleep(0.1)
        began, got = time.monotonic(), b""
        try:
            peer.sendall(body)
            while piece := peer.recv(65_536):
                got += piece
        except ConnectionError:
            pass
    # Sooner than the body's timeout, which is a second.
    assert time.monotonic() - began < 0.9
    assert [int(one) for one in STATUS.findall(got)] in ([400], [])
    assert unmoved() == before


def test_a_head_that_drips_is_cut_in_time(house, unmoved):
    with socket.create_connection(("127.0.0.1", house.weir.port), timeout=4) as peer:
        began = time.monotonic()
        peer.sendall(CHAT + b"\r\n")
        try:
            while time.monotonic() - began < 4:
                if select.select([peer], [], [], 0.2)[0] and not peer.recv(4096):
                    break
                peer.sendall(b"a: b\r\n")
        except ConnectionError:
            pass
        assert time.monotonic() - began < 3


def test_a_client_that_waits_to_be_asked_is_asked_for_its_body(house, unmoved, standin):
    head, _, body = post(b"expect: 100-continue", b"connection: close").partition(b"\r\n\r\n")
    with socket.create_connection(("127.0.0.1", house.weir.port), timeout=4) as peer:
        peer.sendall(head.replace(SECRET, house.secret.encode()) + b"\r\n\r\n")
        assert peer.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.sendall(body)
        assert peer.recv(4096).startswith(b"HTTP/1.1 200 ")
    # Who is not let in is not asked for anything.
    assert house.ask(head.replace(SECRET, WRONG.encode()) + b"\r\n\r\n")[0] == [401]


def by(house, secret: str) -> set[int]:
    """Return what several connections get: enough that both workers are among them."""
    raw = get(b"/v1/models", b"connection: close").replace(SECRET, secret.encode())
    return {house.ask(raw)[0][0] for _ in range(16)}


def test_a_revoked_key_is_refused_by_all_workers_within_two_seconds(house, unmoved):
    weir = house.weir
    key, secret = weir.issue("revoked")
    assert eventually(lambda: by(house, secret) == {200}, 3)
    weir.weir("keys", "revoke", key, "--home", weir.home)
    assert eventually(lambda: by(house, secret) == {401}, 2)


def test_a_rotated_key_works_until_its_grace_has_passed(house, unmoved):
    weir = house.weir
    key, secret = weir.issue("rotated")
    made = json.loads(weir.weir(
        "keys", "rotate", key, "--grace", "3s", "--home", weir.home, "--json"
    ))  # fmt: skip
    assert by(house, secret) == {200}
    assert eventually(lambda: by(house, made["key"]) == {200}, 2)
    assert eventually(lambda: by(house, secret) == {401}, 5)
    assert by(house, made["key"]) == {200}


def test_an_expired_key_is_refused(house, unmoved):
    weir = house.weir
    made = json.loads(weir.weir(
        "keys", "issue", "--account", "brief", "--expires", "3s", "--home", weir.home, "--json"
    ))  # fmt: skip
    assert eventually(lambda: 200 in by(house, made["key"]), 3)
    assert eventually(lambda: by(house, made["key"]) == {401}, 5)


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forged(house, header: dict, key: bytes | None) -> str:
    """Return a token with a header of one's own, signed by HMAC or not at all."""
    head, payload = b64(json.dumps(header).encode()), house.token().split(".")[1]
    signature = (
        b"" if key is None else hmac.digest(key, f"{head}.{payload}".encode(), hashlib.sha256)
    )
    return f"{head}.{payload}.{b64(signature)}"


TOKENS = {
    "good": (lambda house: house.token(), 200),
    "alg none": (lambda house: forged(house, {"alg": "none", "typ": "JWT"}, None), 401),
    "alg None": (lambda house: forged(house, {"alg": "nOnE", "typ": "JWT"}, None), 401),
    "no alg": (lambda house: forged(house, {"typ": "JWT"}, None), 401),
    "RS to HS": (lambda house: forged(house, {"alg": "HS256", "typ": "JWT"}, house.public), 401),
    "RS to HS, stripped": (
        lambda house: forged(house, {"alg": "HS256", "typ": "JWT"}, house.public.strip()), 401),
    "kid as a path": (lambda house: forged(
        house, {"alg": "HS256", "typ": "JWT", "kid": "../../../../dev/null"}, b""), 401),
    "kid as a list": (lambda house: forged(
        house, {"alg": "RS256", "typ": "JWT", "kid": ["x"]}, b"x"), 401),
    "jwk inside": (lambda house: forged(house, {"alg": "HS256", "typ": "JWT", "jwk": {
        "kty": "oct", "k": b64(b"x" * 32)}}, b"x" * 32), 401),
    "jku": (lambda house: forged(
        house, {"alg": "RS256", "typ": "JWT", "jku": "http://127.0.0.1:9/"}, b"x"), 401),
    "crit": (lambda house: forged(house, {"alg": "RS256", "typ": "JWT", "crit": ["x"]}, b"x"), 401),
    "expired": (lambda house: house.token(exp=int(time.time()) - 60), 401),
    "no expiry": (lambda house: house.token(exp=None), 401),
    "expiry as text": (lambda house: house.token(exp="soon"), 401),
    "expiry endless": (lambda house: house.token(exp=1e300), 401),
    "not yet": (lambda house: house.token(nbf=int(time.time()) + 600), 401),
    "wrong audience": (lambda house: house.token(aud="other"), 401),
    "no audience": (lambda house: house.token(aud=None), 401),
    "wrong issuer": (lambda house: house.token(iss="https://other.test"), 401),
    "no subject": (lambda house: house.token(sub=""), 401),
    "subject with a colon": (lambda house: house.token(sub="a:b\nc"), 401),
    "oversized": (lambda house: house.token(pad="x" * 9000), 401),
    "cut": (lambda house: house.token()[:-4], 401),
    "no base64": (lambda _: "e30.!!.e30", 401),
    "dots": (lambda _: "..", 401),
    "deep": (lambda _: b64(b"[" * 5000) + "." + b64(b"[" * 50) + ".e30", 401),
    "huge integer": (lambda _: b64(b'{"alg":' + b"9" * 5000 + b"}") + ".e30.e30", 401),
}  # fmt: skip


@pytest.mark.parametrize("name", TOKENS)
def test_only_a_token_that_holds_lets_in(house, unmoved, name):
    make, expected = TOKENS[name]
    token = make(house)
    before = unmoved()
    raw = post().replace(SECRET, token.encode())
    for _ in range(2):
        statuses, answered, _ = house.ask(raw)
        assert statuses == [expected]
        assert token.encode() not in answered or len(token) < 9
    assert unmoved() - before == (2 if expected == 200 else 0)


@pytest.mark.parametrize(
    "directive",
    ["error=503", "error=400", "garbage=3 tokens=9", "reset=3 tokens=9", "error_at=3 tokens=9"],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_the_model_breaks_tells_nothing_of_the_key(house, unmoved, directive, stream):
    body = json.dumps({
        "model": "standin", "stream": stream,
        "messages": [{"role": "user", "content": f"[[{directive}]] {CANARY}"}],
    }).encode()  # fmt: skip
    statuses, answered, _ = house.ask(post(b"connection: close", body=body))
    assert len(statuses) == 1
    assert house.secret.encode() not in answered
    assert b"upstream-secret" not in answered


def test_no_key_and_no_prompt_is_written_anywhere(house, unmoved):
    """Runs last: it looks for what all tests above have sent."""
    weir = house.weir
    house.ask(post())
    records = eventually(lambda: [one for one in weir.records() if one["status"] == 200], 5)
    assert records
    traces = (CANARY, WRONG, house.secret, house.secret[:24], "upstream-secret-3f9a", "smuggled")
    files = [path for path in weir.home.rglob("*") if path.is_file()]
    assert any("journal" in path.parts for path in files)
    assert any(path.suffix == ".aof" for path in files)
    held = {str(path.relative_to(weir.home)): path.read_bytes() for path in files}
    held["stdout"] = weir.text.encode()
    held["/metrics"] = weir.get("/metrics")[1].encode()
    held["/readyz"] = weir.get("/readyz")[1].encode()
    assert not [
        (name, trace) for name, data in held.items() for trace in traces if trace.encode() in data
    ]
    # What may be written is found, so that the search is one.
    assert sum(house.id.encode() in data for data in held.values()) >= 2
    assert "Traceback" not in weir.text
    assert "Unhandled" not in weir.text


def eventually(look, seconds: float):
    end = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < end:
        time.sleep(0.05)
    return found

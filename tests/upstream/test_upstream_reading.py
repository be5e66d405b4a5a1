"""An answer may be cut anywhere and be any bytes: it reads alike, or lets out one error."""

import gc
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.core.errors import UpstreamError, UpstreamGarbageError, UpstreamResetError
from proxy.upstream.reading import MOST_OVERHEAD, Reading

OK = b"HTTP/1.1 200 OK\r\n"


def read(pieces, method="POST"):
    """Return (status, body, what became of it, whether the connection can be used again)."""
    reading, body = Reading(method), b""
    try:
        for piece in pieces:
            if reading.complete:
                return reading.status, body, "complete", False  # what follows was not asked for
            reading.feed(piece)
            body += reading.taken()
        reading.end()
    except UpstreamGarbageError:
        return reading.status, body + reading.taken(), "garbage", False
    except UpstreamResetError:
        return reading.status, body, "reset", False
    return reading.status, body, "complete", reading.reusable


# the bytes                                              method  status  body     how it ends, reusable
ANSWERS = {
    "length":        (OK + b"Content-Length: 2\r\n\r\n{}",           "POST", 200, b"{}", "complete", True),
    "empty":         (OK + b"Content-Length: 0\r\n\r\n",             "POST", 200, b"", "complete", True),
    "chunked":       (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\n\r\n",
                                                                     "POST", 200, b"{}", "complete", True),
    "trailers":      (OK + b"Transfer-Encoding: Chunked\r\n\r\n2\r\n{}\r\n0\r\nx-a: b\r\nx-b: c\r\n\r\n",
                                                                     "POST", 200, b"{}", "complete", True),
    "to the end":    (OK + b"\r\n{}",                                "POST", 200, b"{}", "complete", False),
    "to the end, nothing": (OK + b"\r\n",                            "POST", 200, b"", "complete", False),
    "old":           (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", "POST", 200, b"{}", "complete", False),
    "old, kept":     (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}",
                                                                     "POST", 200, b"{}", "complete", True),
    "to be closed":  (OK + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}", "POST", 200, b"{}", "complete", False),
    "no content":    (b"HTTP/1.1 204 No\r\n\r\n",                    "POST", 204, b"", "complete", True),
    "no content, a length": (b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", "POST", 204, b"", "complete", True),
    "head":          (OK + b"Content-Length: 5\r\n\r\n",             "HEAD", 200, b"", "complete", False),
    "head, to the end": (OK + b"\r\n",                               "HEAD", 200, b"", "complete", False),
    "head, with a body": (OK + b"Content-Length: 2\r\n\r\n{}",       "HEAD", 200, b"", "complete", False),
    "interim":       (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\nretry-after: 1\r\n\r\n"
                      + OK + b"Content-Length: 2\r\n\r\n{}",         "POST", 200, b"{}", "complete", True),
    "unknown interim": (b"HTTP/1.1 199 X\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n", "POST", 200, b"", "complete", True),
    "interim, then nothing": (b"HTTP/1.1 100 Continue\r\n\r\n",      "POST", 0, b"", "reset", False),
    "interim with a length": (b"HTTP/1.1 150 X\r\nContent-Length: 2\r\n\r\n{}" + OK + b"\r\n", "POST", 0, b"", "garbage", False),
    "switching":     (b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "POST", 0, b"", "garbage", False),
    "upgrade, refused": (OK + b"Upgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\n{}",
                                                                     "POST", 200, b"{}", "complete", True),
    "trailing garbage": (OK + b"Content-Length: 2\r\n\r\n{}garbage", "POST", 200, b"{}", "complete", False),
    "a second answer": ((OK + b"Content-Length: 2\r\n\r\n{}") * 2,   "POST", 200, b"{}", "complete", False),
    "after the close": (OK + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}x", "POST", 200, b"{}", "complete", False),
    "two lengths":   (OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x", "POST", 0, b"", "garbage", False),
    "one length twice": (OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", "POST", 0, b"", "garbage", False),
    "both framings": (OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "POST", 0, b"", "garbage", False),
    "framings turned": (OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n", "POST", 0, b"", "garbage", False),
    "other coding":  (OK + b"Transfer-Encoding: gzip\r\n\r\n{}",     "POST", 0, b"", "garbage", False),
    "two codings":   (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "POST", 0, b"", "garbage", False),
    "chunked twice": (OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                                                                     "POST", 0, b"", "garbage", False),
    "odd length":    (OK + b"Content-Length: +2\r\n\r\n{}",          "POST", 0, b"", "garbage", False),
    "hex length":    (OK + b"Content-Length: 0x2\r\n\r\n{}",         "POST", 0, b"", "garbage", False),
    "endless length": (OK + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n{}", "POST", 0, b"", "garbage", False),
    "odd chunk":     (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n-1\r\n", "POST", 200, b"{}", "garbage", False),
    "chunk too long": (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}x\r\n0\r\n\r\n", "POST", 200, b"{}", "garbage", False),
    "bare line feeds": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}", "POST", 0, b"", "garbage", False),
    "space before the colon": (OK + b"Content-Length : 2\r\n\r\n{}", "POST", 0, b"", "garbage", False),
    "NUL in a header": (OK + b"x-a: \0\r\nContent-Length: 2\r\n\r\n{}", "POST", 0, b"", "garbage", False),
    "HTTP/2":        (b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", "POST", 0, b"", "garbage", False),
    "HTTP/0.9":      (b"HTTP/0.9 200 OK\r\nContent-Length: 2\r\n\r\n{}", "POST", 0, b"", "garbage", False),
    "a request":     (b"GET / HTTP/1.1\r\n\r\n",                     "POST", 0, b"", "garbage", False),
    "TLS":           (b"\x15\x03\x01\x00\x02\x02\x46",               "POST", 0, b"", "garbage", False),
    "short":         (OK + b"Content-Length: 3\r\n\r\n{}",           "POST", 200, b"{}", "reset", False),
    "unended":       (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", "POST", 200, b"{}", "reset", False),
    "nothing":       (b"",                                           "POST", 0, b"", "reset", False),
}  # fmt: skip


@pytest.mark.parametrize("case", ANSWERS)
def test_an_answer_is_framed_in_one_way_or_not_at_all(case):
    raw, method, *expected = ANSWERS[case]
    assert read([raw] if raw else [], method) == tuple(expected)


@pytest.mark.parametrize("case", ANSWERS)
def test_cut_into_single_bytes_it_reads_alike(case):
    raw, method, *expected = ANSWERS[case]
    got = read([raw[at : at + 1] for at in range(len(raw))], method)
    assert got[:3] == tuple(expected)[:3]


HEADS = [raw for raw, *_ in ANSWERS.values()]


@given(
    raw=st.lists(st.sampled_from(HEADS) | st.binary(max_size=20), min_size=1, max_size=3).map(b"".join),
    cuts=st.lists(st.integers(0, 400), max_size=6),
    method=st.sampled_from(["GET", "POST", "HEAD"]),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_cuts_do_not_matter(raw, cuts, method):
    places = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    pieces = [raw[a:b] for a, b in pairwise(places) if a < b]
    assert read(pieces, method)[:3] == read([raw] if raw else [], method)[:3]


@st.composite
def mutated(draw):
    """Return an answer of the table with some of its bytes replaced."""
    raw = bytearray(draw(st.sampled_from([head for head in HEADS if head])))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(raw) - 1))
        raw[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
        raw = raw or bytearray(b"H")
    return bytes(raw)


@given(raw=st.binary(max_size=80) | mutated(), step=st.integers(1, 50))
@example(raw=b"HTTP/1.1 200 OK\r\nx-\xff: \xff\r\ncontent-length: 0\r\n\r\n", step=50)
@settings(max_examples=600, deadline=None)
def test_whatever_comes_one_family_of_errors_comes_out(raw, step):
    reading, error = Reading("POST"), None
    try:
        for at in range(0, len(raw), step):
            if reading.complete:
                break
            reading.feed(raw[at : at + step])
        reading.end()
    except UpstreamError as caught:
        error = caught
    if error is None:
        assert 200 <= reading.status <= 999
    else:
        assert type(error) in {UpstreamGarbageError, UpstreamResetError}
        assert error.__suppress_context__ or error.__context__ is None


ENDLESS = {
    "reason":     (b"HTTP/1.1 200 ", b"x" * 1000),
    "name":       (OK, b"x" * 1000),
    "value":      (OK + b"x-a: ", b"x" * 1000),
    "headers":    (OK, b"x-a: b\r\n" * 100),
    "interim":    (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 40),
    "extension":  (OK + b"Transfer-Encoding: chunked\r\n\r\n2;", b"x" * 1000),
    "trailer":    (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx-a: ", b"x" * 1000),
    "chunk size": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 1000),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDLESS)
def test_what_is_no_body_has_an_end(case):
    begin, more = ENDLESS[case]
    reading, fed = Reading("POST"), 0
    if begin:
        reading.feed(begin)
        reading.taken()
    error = None
    while error is None and fed < 4 * MOST_OVERHEAD:
        fed += len(more)
        try:
            reading.feed(more)
        except UpstreamGarbageError as caught:
            error = caught
    assert error is not None
    assert fed <= MOST_OVERHEAD + 2 * len(more)


def test_a_long_body_in_small_chunks_is_no_overhead():
    reading = Reading("POST")
    reading.feed(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(MOST_OVERHEAD):
        reading.feed(b"1\r\n")
        reading.feed(b"x\r\n")
        assert reading.taken() == b"x"


def test_of_what_came_in_one_read_one_piece_is_made():
    reading = Reading("POST")
    reading.feed(OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 9)
    assert reading.taken() == b"x" * 9
    assert reading.taken() == b""


def test_headers_that_may_be_wanted_are_kept_the_first_of_several():
    reading = Reading("POST")
    reading.feed(
        OK + b"X-Request-ID: \tone \r\nx-request-id: two\r\nSet-Cookie: a=b\r\nContent-Encoding: gzip\r\n"
        b"openai-version: \xe9\r\ncontent-length: 0\r\n\r\n"
    )  # fmt: skip
    assert reading.fields == {
        "x-request-id": "one",
        "content-encoding": "gzip",
        "openai-version": "é",
        "content-length": "0",
    }


def test_trailers_are_no_headers():
    reading = Reading("POST")
    reading.feed(OK + b"transfer-encoding: chunked\r\n\r\n0\r\nretry-after: 9\r\n\r\n")
    assert reading.complete
    assert reading.fields == {"transfer-encoding": "chunked"}


def test_headers_of_interim_answers_are_forgotten():
    reading = Reading("POST")
    reading.feed(b"HTTP/1.1 103 X\r\nretry-after: 9\r\n\r\n" + OK + b"content-length: 0\r\n\r\n")
    assert reading.fields == {"content-length": "0"}


def readings():
    return sum(isinstance(each, Reading) for each in gc.get_objects())


@pytest.mark.parametrize("end", ["complete", "failed"])
def test_nothing_is_left_for_the_collector(end):
    gc.disable()
    try:
        before = readings()
        reading = Reading("POST")
        reading.feed(OK + b"content-length: 2\r\n\r\n{")
        if end == "complete":
            reading.feed(b"}")
        else:
            reading.fail(UpstreamResetError("left"))
        assert readings() == before + 1
        del reading
        assert readings() == before
    finally:
        gc.enable()

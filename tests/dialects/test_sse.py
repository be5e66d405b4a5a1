"""Events are the same however the network cuts them, and joined they are the input."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai._streaming import SSEDecoder

from proxy.dialects.sse import SseSplitter, data_of, with_data

PIECES = st.sampled_from(
    [
        b"data: 1",
        b"data:2",
        b"data",
        b"data: ",
        b": c",
        b"event: x",
        b"id: 3",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\r\r",
        b"\xef\xbb\xbf",
        b"\xc3\xa9",
    ]
)
STREAMS = st.lists(PIECES, max_size=24).map(b"".join)


def split(stream: bytes, cuts: list[int]) -> tuple[list[bytes], bytes]:
    splitter = SseSplitter()
    events = []
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    for start, end in pairwise(edges):
        events += splitter.feed(stream[start:end])
    return events, splitter.rest()


@given(STREAMS, st.lists(st.integers(0, 200), max_size=30))
def test_where_the_stream_is_cut_changes_no_event(stream, cuts):
    assert split(stream, cuts) == split(stream, [])


@given(STREAMS, st.lists(st.integers(0, 200), max_size=30))
def test_no_byte_is_lost_or_changed(stream, cuts):
    events, rest = split(stream, cuts)
    assert b"".join(events) + rest == stream


@given(STREAMS.filter(lambda stream: b"\xef" not in stream))
def test_the_data_is_what_the_official_decoder_reads(stream):
    stream += b"\n\n"
    theirs = [
        event.data.encode() for event in SSEDecoder().iter_bytes(iter([stream])) if event.data
    ]
    events, rest = split(stream, [])
    ours = [data for event in [*events, rest] if (data := data_of(event))]
    assert ours == theirs


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data: a\n\n", b"a"),
        (b"data:a\r\n\r\n", b"a"),
        (b"data: a\r\r", b"a"),
        (b"data: a\ndata: b\n\n", b"a\nb"),
        (b"data:  a\n\n", b" a"),
        (b": hello\n\n", b""),
        (b"event: x\ndata: a\nid: 1\n\n", b"a"),
        (b"\xef\xbb\xbfdata: a\n\n", b"a"),
        (b"database: a\n\n", b""),
        (b"\n\n", b""),
    ],
)
def test_data_is_read_from_any_form_of_event(event, data):
    assert data_of(event) == data


@given(STREAMS, st.binary(max_size=9).filter(lambda data: b"\r" not in data))
def test_data_put_into_an_event_is_read_back(stream, data):
    for event in split(stream, [])[0]:
        if any(
            line.startswith(b"data")
            for line in event.removeprefix(b"\xef\xbb\xbf").splitlines()
            if line == b"data" or line.startswith(b"data:")
        ):
            assert data_of(with_data(event, data)) == data


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_an_event_longer_than_the_limit_ends_the_stream(step):
    splitter = SseSplitter(limit=64)
    stream = b"data: ok\n\n" + b"data: " + b"x" * 70 + b"\n\ndata: later\n\n"
    events = []
    for start in range(0, len(stream), step):
        events += splitter.feed(stream[start : start + step])
    assert (events, splitter.overflowed) == ([b"data: ok\n\n"], True)

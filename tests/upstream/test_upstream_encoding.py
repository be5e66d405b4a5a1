"""An encoded answer may be cut anywhere, and lets out one error type only."""

import gzip
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.errors import UpstreamGarbageError
from proxy.upstream import encoding
from proxy.upstream.encoding import Inflater


def decoded(name, pieces):
    inflater = Inflater(name)
    out = b"".join(part for piece in pieces for part in inflater.feed(piece))
    inflater.finish()
    return out


@given(
    text=st.binary(max_size=200).map(lambda part: part * 700),
    kind=st.sampled_from(["gzip", "zlib", "raw"]),
    step=st.integers(1, 400),
)
@settings(max_examples=60, deadline=None)
def test_cuts_do_not_matter(text, kind, step):
    raw = (
        gzip.compress(text)
        if kind == "gzip"
        else zlib.compress(text, wbits=15 if kind == "zlib" else -15)
    )
    pieces = [raw[at : at + step] for at in range(0, len(raw), step)]
    assert decoded("gzip" if kind == "gzip" else "deflate", pieces) == text


@given(raw=st.binary(max_size=60), name=st.sampled_from(["gzip", "deflate", "x-gzip"]))
@settings(max_examples=200, deadline=None)
def test_garbage_lets_out_one_error_only(raw, name):
    try:
        decoded(name, [raw])
    except UpstreamGarbageError:
        return


def test_no_piece_is_large():
    inflater = Inflater("gzip")
    pieces = list(inflater.feed(gzip.compress(bytes(10_000_000))))
    assert max(map(len, pieces)) <= encoding.PIECE
    assert sum(map(len, pieces)) == 10_000_000


def test_a_bomb_is_given_up(monkeypatch):
    monkeypatch.setattr(encoding, "LARGEST", 1_000_000)
    with pytest.raises(UpstreamGarbageError, match="too large"):
        decoded("gzip", [gzip.compress(bytes(10_000_000))])

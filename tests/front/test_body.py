"""Heads that two parsers could read differently, and bodies that are not what they say."""

from __future__ import annotations

import gzip
import zlib

import pytest
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from proxy.core.errors import RequestError, RequestTooLargeError
from proxy.front.body import _inflate, check_head

LIMIT = 1000


def head(method: str = "POST", path: str = "/v1/models", *headers: tuple[str, str]):
    given = CIMultiDict(headers or (("host", "weir.test"),))
    return make_mocked_request(method, path, headers=given, payload=EMPTY_PAYLOAD)


@pytest.mark.parametrize(
    "host",
    ["w", "weir.test", "weir.test:8080", "127.0.0.1:80", "[::1]", "[::1]:8080", "my_host", "a%20b"],
)
def test_a_host_as_clients_send_it_is_taken(host):
    check_head(head("POST", "/v1/models", ("host", host)))


@pytest.mark.parametrize(
    "host",
    ["", " ", "a, b", "a b", "a/b", "user@a", "a:b", "a:123456", "[::1", "::1", "a\n", "é", "a:"],
)
def test_an_odd_host_is_refused(host):
    with pytest.raises(RequestError, match="Host"):
        check_head(head("POST", "/v1/models", ("host", host)))


@pytest.mark.parametrize("hosts", [(), ("a", "a"), ("a", "b")])
def test_a_host_is_there_exactly_once(hosts):
    others = (("accept", "*/*"), *(("host", host) for host in hosts))
    with pytest.raises(RequestError, match="Host"):
        check_head(head("POST", "/v1/models", *others))


@pytest.mark.parametrize("path", ["http://w/v1/models", "*", "w:443", "v1/models", ""])
def test_a_target_is_a_path(path):
    with pytest.raises(RequestError, match="path"):
        check_head(head("POST", path))


@pytest.mark.parametrize("coding", ["chunked", "Chunked", " chunked "])
def test_chunked_is_the_coding_that_is_served(coding):
    check_head(head("POST", "/v1/models", ("host", "w"), ("transfer-encoding", coding)))


@pytest.mark.parametrize(
    "codings",
    [("",), ("identity",), ("gzip, chunked",), ("chunked, chunked",), ("chunked", "chunked")],
)
def test_other_codings_are_refused(codings):
    told = (("transfer-encoding", coding) for coding in codings)
    with pytest.raises(RequestError, match="coding"):
        check_head(head("POST", "/v1/models", ("host", "w"), *told))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_request_that_asks_only_has_no_body(method):
    check_head(head(method))
    with pytest.raises(RequestError, match="no body"):
        check_head(head(method, "/v1/models", ("host", "w"), ("transfer-encoding", "chunked")))


def test_an_upgrade_is_refused():
    with pytest.raises(RequestError, match="upgrades"):
        check_head(head("GET", "/v1/models", ("host", "w"), ("upgrade", "h2c")))


@pytest.mark.parametrize("size", [0, 1, LIMIT - 1, LIMIT])
def test_gzip_within_the_limit_comes_out_as_it_was(size):
    assert _inflate(gzip.compress(b"a" * size), LIMIT) == b"a" * size


@pytest.mark.parametrize("size", [LIMIT + 1, LIMIT + 2, 20_000_000])
def test_gzip_above_the_limit_is_too_large(size):
    with pytest.raises(RequestTooLargeError):
        _inflate(gzip.compress(b"a" * size), LIMIT)


def test_gzip_cut_anywhere_is_refused():
    whole = gzip.compress(b"some text that is long enough to be cut")
    for length in range(len(whole)):
        with pytest.raises(RequestError):
            _inflate(whole[:length], LIMIT)


@pytest.mark.parametrize(
    "body",
    [
        b"plain",
        zlib.compress(b"zlib framing"),
        gzip.compress(b"a") + b"\x00",
        gzip.compress(b"a") + gzip.compress(b"b"),
        gzip.compress(b"a")[:-8] + b"\x00" * 8,
    ],
    ids=["no gzip", "zlib", "a tail", "two members", "a wrong checksum"],
)
def test_what_is_not_one_whole_gzip_member_is_refused(body):
    with pytest.raises(RequestError) as told:
        _inflate(body, LIMIT)
    assert told.value.status == 400

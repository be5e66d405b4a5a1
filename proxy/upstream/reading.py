"""One answer in HTTP/1.1, read from bytes cut anywhere. Knows no socket and no clock.

httptools (llhttp in its strict mode) reads; here stand the bounds that it lacks, and what an answer
is to us: interim answers are passed over, and whatever could be framed in two ways is garbage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from proxy.core.errors import UpstreamGarbageError, UpstreamResetError
from proxy.upstream.headers import ANSWERED

if TYPE_CHECKING:
    from proxy.core.errors import UpstreamError

LONGEST_FIELD = 16_384
MOST_FIELDS = 128
MOST_OVERHEAD = 65_536  # bytes in a row that are no body: a head, trailers, chunk extensions
FINAL, SWITCHING = 200, 101
FRAMING = frozenset({"content-length", "transfer-encoding"})
KEPT = frozenset(name.encode() for name in ANSWERED | FRAMING | {"content-encoding"})
VERSIONS = frozenset({"1.0", "1.1"})


class Reading:
    """The answer to one request: `feed` what arrives, `end` when the peer closes, `taken` the body.

    status:   0 until the head is whole
    fields:   of its headers what we may want, names in lower case; of several the first
    held:     bytes that arrived since the body was last taken
    begun:    something arrived
    complete: nothing more belongs to it
    reusable: another request may follow on its connection; only once it is complete
    failure:  why it will never be complete
    """

    __slots__ = (
        "_count",
        "_interim",
        "_method",
        "_overhead",
        "_parser",
        "_pieces",
        "_size",
        "_to_the_end",
        "begun",
        "complete",
        "failure",
        "fields",
        "held",
        "on_body",
        "reusable",
        "status",
    )

    def __init__(self, method: str) -> None:
        """Take the request's method, on which it depends whether a body follows."""
        self._method = method
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append  # the parser calls this without a step through Python
        self._interim = self._to_the_end = False
        self._count = self._size = self._overhead = 0
        self.status = self.held = 0
        self.fields: dict[str, str] = {}
        self.begun = self.complete = self.reusable = False
        self.failure: UpstreamError | None = None
        self._parser: HttpResponseParser | None = HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Take bytes in. Raises UpstreamGarbageError; what came before it can still be taken."""
        assert self._parser is not None, "a complete answer is fed nothing more"
        self.begun = True
        self.held += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            if not self.complete:
                raise UpstreamGarbageError("the model API did not answer in HTTP") from None
            self.reusable = False  # something follows a whole answer; nobody asked for it
        if self.complete:
            self._parser = None  # it refers to us
            if self._method == "HEAD":
                self._pieces.clear()
        elif self._pieces:
            self._overhead = 0
        else:
            self._overhead += len(data)
            if self._overhead > MOST_OVERHEAD:
                raise UpstreamGarbageError("the model API's answer has too large a head")

    def end(self) -> None:
        """Note that the peer closed. Raises UpstreamResetError unless that is the body's end."""
        if not self.complete and not self._to_the_end:
            raise UpstreamResetError("the model API broke off its answer")
        self._parser = None
        self.complete = True

    def fail(self, error: UpstreamError) -> None:
        """Take nothing more in; what came can still be taken."""
        self._parser = None
        self.failure = error

    def taken(self) -> bytes:
        """Return what of the body has arrived since the last call, in one piece; maybe b''."""
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.held = 0
        return data

    # What the parser calls. What is raised there, it turns into an HttpParserError.

    def on_message_begin(self) -> None:
        """Let no second answer begin."""
        if self.complete:
            raise HttpParserError

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, if it is one of ours; trailers are only counted."""
        self._count += 1
        length = len(name) + len(value)
        self._size += length
        if self._count > MOST_FIELDS or length > LONGEST_FIELD or self._size > MOST_OVERHEAD:
            raise HttpParserError
        lower = name.lower()
        if lower in KEPT and not self.status:
            known = lower.decode()
            if known in FRAMING and known in self.fields:
                raise HttpParserError
            self.fields.setdefault(known, value.decode("latin-1").strip())

    def on_headers_complete(self) -> None:
        """Learn what the head says of itself and of the body."""
        parser = self._parser
        assert parser is not None
        status, framing = parser.get_status_code(), FRAMING & self.fields.keys()
        if status < FINAL:
            if status == SWITCHING or framing:
                raise HttpParserError
            self._interim = True
            return
        coding = self.fields.get("transfer-encoding", "chunked").lower()
        if parser.get_http_version() not in VERSIONS or coding != "chunked":
            raise HttpParserError
        self.status = status
        self.reusable = parser.should_keep_alive()
        self._to_the_end = not framing  # where a body can be at all, or it is complete before
        if self._method == "HEAD":  # the parser cannot know, and waits for the body
            self.complete, self.reusable = True, False

    def on_message_complete(self) -> None:
        """Note the end, unless it is the end of an interim answer."""
        if self._interim:
            self._interim = False
            self.fields.clear()
        else:
            self.complete = True

"""What the stand-in really did, for tests to compare with what the gateway believes."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.standin.documents import Json

RECENT = 1_000
MAX_RECORDED_BYTES = 64 * 1024 * 1024


@dataclass(slots=True)
class Entry:
    """One request and what became of it.

    status:        of the answer's head; 0 where none was sent
    headers:       the names that it came with, in lower case; never a value
    authorization: whether it carried a credential
    sha256:        of its body
    generated:     tokens made before it ended, whatever was sent of them; of a background response
                   that is not streamed, all that it will have, also where it is cancelled later
    written:       tokens of its own text handed to the socket, once, though a dialect repeats it
                   (about half, where half of a JSON body was)
    ended:         '' while it runs, then 'complete', 'refused' (a native error), 'aborted' (the
                   client left), 'stopped' (we were told to stop), or the fault it was asked for:
                   'error', 'reset', 'stall', 'garbage'
    """

    method: str
    path: str
    headers: list[str]
    authorization: bool
    status: int = 0
    model: str = ""
    stream: bool = False
    include_usage: bool = False
    bytes: int = 0
    sha256: str = ""
    prompt_tokens: int = 0
    generated: int = 0
    reasoning: int = 0
    written: int = 0
    ended: str = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A request as it came. Its values may be secrets, so they are in no repr."""

    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)


class Recorder:
    """Counts requests, and remembers the last of them.

    record:   whether header values and bodies are kept too, up to 64 MiB of the latest
    stopping: set once we are ourselves the reason for requests to end, so that no client is
              blamed for it
    """

    def __init__(self, *, record: bool = False) -> None:
        self.stopping = False
        self._record = record
        self._active: dict[int, Entry] = {}
        self.reset()

    def reset(self) -> None:
        """Forget all that has ended."""
        self._statuses: Counter[int] = Counter()
        self._ended: Counter[str] = Counter()
        self._tokens: Counter[str] = Counter()
        self._recent: deque[Entry] = deque(maxlen=RECENT)
        self._most_active = len(self._active)
        self._kept = 0
        self.recorded: deque[Recorded] = deque()

    def begin(self, method: str, path: str, headers: Mapping[str, str]) -> Entry:
        """Note that a request came."""
        names = [name.lower() for name in headers]
        authorization = "authorization" in names or "x-api-key" in names or "api-key" in names
        entry = Entry(method, path, names, authorization)
        self._active[id(entry)] = entry
        self._most_active = max(self._most_active, len(self._active))
        return entry

    def read(self, entry: Entry, headers: Mapping[str, str], body: bytes) -> None:
        """Note its body."""
        entry.bytes = len(body)
        entry.sha256 = sha256(body).hexdigest()
        if self._record:
            self.recorded.append(Recorded(tuple(headers.items()), body))
            self._kept += len(body)
            while self._kept > MAX_RECORDED_BYTES or len(self.recorded) > RECENT:
                self._kept -= len(self.recorded.popleft().body)

    def end(self, entry: Entry) -> None:
        """Note that it is over."""
        del self._active[id(entry)]
        self._statuses[entry.status] += 1
        self._ended[entry.ended] += 1
        tokens = self._tokens
        tokens["prompt"] += entry.prompt_tokens
        tokens["generated"] += entry.generated
        tokens["reasoning"] += entry.reasoning
        tokens["written"] += entry.written
        self._recent.append(entry)

    def stats(self) -> Json:
        """Return all that was counted; tokens are of requests that have ended."""
        return {
            "requests": sum(self._ended.values()),
            "active": len(self._active),
            "most_active": self._most_active,
            "statuses": {str(status): count for status, count in sorted(self._statuses.items())},
            "ended": dict(sorted(self._ended.items())),
            "aborted": self._ended["aborted"],
            "tokens": {
                name: self._tokens[name] for name in ("prompt", "generated", "reasoning", "written")
            },
            "recent": [asdict(entry) for entry in self._recent],
        }

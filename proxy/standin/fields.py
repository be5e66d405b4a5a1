"""How requests are read, in every dialect: members of a JSON object, and the words in them.

The counts are the stand-in's own and share no code with the gateway's, so that each checks the
other.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import orjson

from proxy.core.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from proxy.standin.documents import Json

IMAGE_TOKENS = 85

_MANNER = frozenset({"stream", "stream_options"})
_NOT_JSON = (
    "We could not parse the JSON body of your request. (HINT: This likely means you "
    "aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, "
    "but what was sent was not valid JSON.)"
)


class RefusedError(Exception):
    """The request is refused with more than a 400 and a sentence.

    code: as OpenAI's errors have it; Anthropic's have none
    """

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param


def parsed(body: bytes, not_json: str = _NOT_JSON) -> Json:
    """Return the object that a body holds; raises RequestError where it holds none."""
    try:
        asked = orjson.loads(body)
        orjson.dumps(asked)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        raise RequestError(not_json) from None
    if not isinstance(asked, dict):
        raise RequestError("The body of your request must be a JSON object.")
    return asked


def seeds(asked: Json, saying: list[object], header: str, manner: str = "") -> tuple[bytes, bytes]:
    """Return the seed of the words, which follow from `saying`, and that of the ids.

    The ids follow from all but how the answer is sent: `stream` and the like, and the member
    `manner`, which `saying` repeats.
    """
    # Whoever passes a request on may order its members as it likes.
    ordered = orjson.OPT_SORT_KEYS
    text_seed = blake2b(orjson.dumps(saying, option=ordered), digest_size=16).digest()
    told = {name: each for name, each in asked.items() if name not in _MANNER and name != manner}
    rest = orjson.dumps(told, option=ordered) + header.encode()
    return text_seed, blake2b(text_seed + rest, digest_size=16).digest()


def identity(prefix: str, *parts: bytes) -> str:
    """Return an id that follows from the parts."""
    return prefix + blake2b(b"".join(parts), digest_size=12).hexdigest()


def words_in(texts: Iterable[object]) -> int:
    """Return the words of those that are texts."""
    return sum(len(text.split()) for text in texts if isinstance(text, str))


def words_of_json(value: object) -> int:
    """Return the words of compact JSON, none where there is nothing in it."""
    # As text: bytes know no white space beyond ASCII.
    return len(orjson.dumps(value).decode().split()) if value else 0


def leaves(value: object, without: frozenset[str]) -> Iterator[str]:
    """Yield all strings within a value, but for members with these names."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, each in value.items():
            if name not in without:
                yield from leaves(each, without)
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each, without)


def objects(value: object) -> list[Json]:
    """Return the objects in a list; none where it is no list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def member(asked: Json, name: str) -> Json:
    """Return a member that is an object or is not there; raises RequestError for another."""
    value = asked.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise wrong(name, "an object")
    return value


def model_of(asked: Json, sentence: str = "you must provide a model parameter") -> str:
    """Return the model's name; raises RequestError where there is none."""
    model = asked.get("model")
    if not isinstance(model, str) or not model:
        raise RequestError(sentence)
    return model


def flag(asked: Json, name: str, *, otherwise: bool = False) -> bool:
    """Return a boolean member; raises RequestError for one of another type."""
    value = asked.get(name)
    if value is None:
        return otherwise
    if not isinstance(value, bool):
        raise wrong(name, "a boolean")
    return value


def number(asked: Json, name: str, low: int, high: int | None) -> int | None:
    """Return an integer member, None where it is left out; raises RequestError beyond bounds."""
    value = asked.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong(name, "an integer")
    if value < low or (high is not None and value > high):
        bound = f"from {low} to {high}" if high is not None else f"of at least {low}"
        raise RequestError(f"Invalid '{name}': expected an integer {bound}.", param=name)
    return value


def manner(asked: Json) -> tuple[bool, bool]:
    """Return whether to stream, and whether with usage; raises RequestError, as OpenAI does."""
    stream, options = flag(asked, "stream"), asked.get("stream_options")
    if options is None:
        return stream, False
    if not stream:
        raise RequestError(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            param="stream_options",
        )
    if not isinstance(options, dict):
        raise wrong("stream_options", "an object")
    return stream, options.get("include_usage") is True


def chosen(tools: dict[str, Json], name: str) -> tuple[str, Json] | None:
    """Return the tool to call, None for no name; raises RequestError for one there is not."""
    if not name:
        return None
    if name not in tools:
        raise RequestError(
            "Invalid value for 'tool_choice': no such function in 'tools'.", param="tool_choice"
        )
    return name, tools[name]


def wrong(param: str, expected: str) -> RequestError:
    """Return the error for a member of another type than expected."""
    return RequestError(f"Invalid type for '{param}': expected {expected}.", param=param)

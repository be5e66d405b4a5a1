"""What a chat's prompt says and costs: messages, tools, images, audio and files.

Counted by `words`, it is what the stand-in model reports: the words of all string contents
(content, text parts, refusals, names and arguments of tool calls) and of the compact JSON of
`tools`, `functions` and `response_format`, and 85 for an image.
Counted by `chars`, it is an estimate: roles and names count too, three tokens frame a message and
three the reply, and media have flat prices.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b

import orjson

from proxy.core.errors import RequestError
from proxy.dialects.openai_fields import wrong_type
from proxy.dialects.openai_usage import leaves
from proxy.dialects.tokens import count_words, twelfths, whole

FRAME = 3
IMAGE_LOW = 85
IMAGE_HIGH = 765
# Ten tokens a second of speech; a second is about 10,000 characters of base64 MP3.
AUDIO_CHARACTERS_A_TOKEN = 1_000
# Three bytes in four characters, four bytes of text a token; no more than a context window.
FILE_CHARACTERS_A_TOKEN = 5
FILE_MAX = 128_000
# A file behind a URL has a size that we cannot see.
FILE_BY_URL = 4_000
# What goes into the prompt as JSON; some of it where a server fills its template from requests.
_FILLED = frozenset({"documents", "chat_template_kwargs"})
_OBJECTS: tuple[tuple[str, type], ...] = (
    ("tools", list),
    ("functions", list),
    ("response_format", dict),
    ("documents", list),
    ("chat_template_kwargs", dict),
)
# Members that are read one by one, or that servers do not read.
_MESSAGE = frozenset(
    {
        "annotations", "audio", "cache_control", "content", "function_call", "index", "name",
        "parsed", "prefix", "reasoning", "reasoning_content", "refusal", "role", "tool_call_id",
        "tool_calls",
    }
)  # fmt: skip
_PART = frozenset(
    {
        "cache_control", "detail", "file", "id", "image_url", "input_audio",
        "prompt_cache_breakpoint", "refusal", "text", "type",
    }
)  # fmt: skip
# Who speaks in a turn, by what the wire calls it; all others are taken for users.
_SPEAKERS = {
    "system": "system", "developer": "system", "assistant": "assistant", "model": "assistant",
    "tool": "tool", "function": "tool", "": "",
}  # fmt: skip
_MEDIA = frozenset({"audio_url", "image_embeds", "prompt_embeds", "video_url"})


@dataclass(slots=True)
class Prompt:
    """A prompt while it is being read.

    lines:    all text in order, roles and digests of media included
    texts:    those of the lines that the stand-in counts
    begun:    turns: the role of each, '' for what nobody says, and where in `texts` it begins
    images:   how many images; media: tokens of all media
    """

    lines: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    begun: list[tuple[str, int]] = field(default_factory=list)
    images: int = 0
    media: int = 0
    messages: int = 0
    features: set[str] = field(default_factory=set)

    def say(self, text: str) -> None:
        """Add text that is counted."""
        self.lines.append(text)
        self.texts.append(text)

    def turn(self, speaker: str) -> str:
        """Begin a turn: what is said from now on is of this role, '' for of nobody.

        Returns whose turn it was, to go on with it.
        """
        before = self.begun[-1][0] if self.begun else ""
        self.begun.append((_SPEAKERS.get(speaker, "user"), len(self.texts)))
        return before

    def turns(self) -> tuple[tuple[str, str], ...]:
        """Return what was said by turns, those without text left out."""
        found, texts, end = [], self.texts, len(self.texts)
        for role, start in reversed(self.begun):
            if role and start < end:
                one = end - start == 1
                found.append((role, texts[start] if one else "\n".join(texts[start:end])))
            end = start
        return tuple(reversed(found))

    def show(self, feature: str, source: str, tokens: int) -> None:
        """Add an image, sound or file, named in the text by a digest."""
        digest = blake2b(source.encode(), digest_size=8).hexdigest()
        self.lines.append(f"[{feature} {digest}]")
        self.features.add(feature)
        self.media += tokens
        self.images += feature == "images"

    def text(self) -> str:
        """Return all text, in order."""
        return "\n".join(self.lines)


def tokens_of(prompt: Prompt, text: str, counter: str) -> int:
    """Return the estimate for a prompt; `text` is its `text()`."""
    if counter == "words":
        return sum(map(count_words, prompt.texts)) + IMAGE_LOW * prompt.images
    return whole(twelfths(text)) + FRAME * (prompt.messages + 1) + prompt.media


def read_prompt(asked: dict[str, object]) -> Prompt:
    """Return the prompt of a chat request; raises RequestError where it cannot be counted."""
    prompt = Prompt()
    messages = asked.get("messages")
    if messages is None:
        raise RequestError("Missing required parameter: 'messages'.", param="messages")
    if not isinstance(messages, list):
        raise wrong_type("messages", "an array of objects", messages)
    if not messages:
        raise RequestError(
            "Invalid 'messages': empty array. Expected an array with minimum length 1.",
            param="messages",
        )
    prompt.messages = len(messages)
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            raise wrong_type(f"messages[{index}]", "an object", message)
        _read_message(prompt, message, f"messages[{index}]")
    prompt.turn("")
    _read_objects(prompt, asked)
    _read_prediction(prompt, asked.get("prediction"))
    return prompt


def _read_objects(prompt: Prompt, asked: dict[str, object]) -> None:
    for name, kind in _OBJECTS:
        value = asked.get(name)
        if value is None:
            continue
        if not isinstance(value, kind):
            raise wrong_type(name, "an array" if kind is list else "an object", value)
        if not value:
            continue
        if name in _FILLED:
            prompt.lines.append(orjson.dumps(value).decode())
        else:
            prompt.say(orjson.dumps(value).decode())
    template = asked.get("chat_template")
    if template is not None:
        if not isinstance(template, str):
            raise wrong_type("chat_template", "a string", template)
        prompt.lines.append(template)


def _read_message(prompt: Prompt, message: dict[str, object], where: str) -> None:
    role = message.get("role")
    if not isinstance(role, str):
        if role is None:
            raise RequestError(f"Missing required parameter: '{where}.role'.", param=where)
        raise wrong_type(f"{where}.role", "a string", role)
    prompt.lines.append(role)
    prompt.turn(role)
    content = message.get("content")
    if isinstance(content, str):
        prompt.say(content)
        if len(message) == 2:  # noqa: PLR2004 - role and content: most messages
            return
    else:
        _read_parts(prompt, content, f"{where}.content")
    name = _text(message, "name", where)
    if name:
        prompt.lines.append(name)
    refusal = _text(message, "refusal", where)
    if refusal:
        prompt.say(refusal)
    _read_thoughts(prompt, message, where)
    calls = message.get("tool_calls")
    if calls is not None:
        _read_calls(prompt, calls, f"{where}.tool_calls")
    legacy = message.get("function_call")
    if legacy is not None:
        _read_call(prompt, {"function": legacy}, where)
    _read_unknown(prompt, message, _MESSAGE)


def _read_thoughts(prompt: Prompt, message: dict[str, object], where: str) -> None:
    thoughts = [_text(message, extra, where) for extra in ("reasoning_content", "reasoning")]
    if any(thoughts):
        before = prompt.turn("")
        for text in filter(None, thoughts):
            prompt.say(text)
        prompt.turn(before)


def _read_parts(prompt: Prompt, content: object, where: str) -> None:
    if content is None:
        return
    if not isinstance(content, list):
        raise wrong_type(where, "a string or an array of objects", content)
    for index, part in enumerate(content):
        _read_part(prompt, part, f"{where}[{index}]")


def _read_calls(prompt: Prompt, calls: object, where: str) -> None:
    if not isinstance(calls, list):
        raise wrong_type(where, "an array of objects", calls)
    for index, call in enumerate(calls):
        _read_call(prompt, call, f"{where}[{index}]")


def _read_call(prompt: Prompt, call: object, where: str) -> None:
    if not isinstance(call, dict):
        raise wrong_type(where, "an object", call)
    for kind in ("function", "custom"):
        inner = call.get(kind)
        if inner is None:
            continue
        if not isinstance(inner, dict):
            raise wrong_type(f"{where}.{kind}", "an object", inner)
        for name in ("name", "arguments", "input"):
            text = _text(inner, name, f"{where}.{kind}")
            if text:
                prompt.say(text)


def _read_part(prompt: Prompt, part: object, where: str) -> None:
    if not isinstance(part, dict):
        raise wrong_type(where, "an object", part)
    for name in ("text", "refusal"):
        text = _text(part, name, where)
        if text:
            prompt.say(text)
    for name, show in (
        ("image_url", _show_image),
        ("input_audio", _show_audio),
        ("file", _show_file),
    ):
        medium = part.get(name)
        if medium is None:
            continue
        if name == "image_url" and isinstance(medium, str):
            medium = {"url": medium}
        if not isinstance(medium, dict):
            raise wrong_type(f"{where}.{name}", "an object", medium)
        show(prompt, medium, f"{where}.{name}")
    _read_unknown(prompt, part, _PART)


def _read_unknown(prompt: Prompt, holder: dict[str, object], known: frozenset[str]) -> None:
    """Read members that some servers heed: all that they say, media by digests."""
    if holder.keys() <= known:
        return
    for name, value in holder.items():
        for text in leaves(value) if name not in known else ():
            if name in _MEDIA or text.startswith("data:"):
                tokens = -(-len(text) // FILE_CHARACTERS_A_TOKEN)
                prompt.show("files", text, min(tokens, FILE_MAX))
            elif text:
                prompt.lines.append(text)


def _show_image(prompt: Prompt, image: dict[str, object], where: str) -> None:
    tokens = IMAGE_LOW if image.get("detail") == "low" else IMAGE_HIGH
    prompt.show("images", _text(image, "url", where), tokens)


def _show_audio(prompt: Prompt, audio: dict[str, object], where: str) -> None:
    sound = _text(audio, "data", where)
    prompt.show("audio", sound, -(-len(sound) // AUDIO_CHARACTERS_A_TOKEN))


def _show_file(prompt: Prompt, file: dict[str, object], where: str) -> None:
    data = _text(file, "file_data", where)
    if file.get("file_id"):
        raise RequestError(
            "'file_id' names an object that is stored at the provider, in an account that all "
            "developers here share. Send the content itself in 'file_data' instead.",
            param=f"{where}.file_id",
        )
    prompt.show("files", data, min(-(-len(data) // FILE_CHARACTERS_A_TOKEN), FILE_MAX))


def _read_prediction(prompt: Prompt, prediction: object) -> None:
    if prediction is None:
        return
    if not isinstance(prediction, dict):
        raise wrong_type("prediction", "an object", prediction)
    content = prediction.get("content")
    if isinstance(content, str):
        prompt.say(content)
    else:
        _read_parts(prompt, content, "prediction.content")


def _text(holder: dict[str, object], name: str, where: str) -> str:
    value = holder.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise wrong_type(f"{where}.{name}", "a string", value)
    return value

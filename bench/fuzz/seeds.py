"""What the fuzzing begins with: real requests, and the stand-in's answers to them.

An input of a target is a head of `HEAD` bytes, which chooses shape, facts, ending and cuts, and
what is to be read.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import aiohttp

from proxy.standin.server import running

if TYPE_CHECKING:
    from pathlib import Path


HEADS = [
    bytes([shape, 37 * shape % 256, shape % 12, 11 * shape % 256, 3, 0, 0, 0])
    for shape in (*range(12), 255)
]
TOOL = {
    "name": "get_weather",
    "description": "the weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
FUNCTION = {"type": "function", "function": TOOL}
CLAUDE_TOOL = {"name": "get_weather", "input_schema": TOOL["parameters"]}
SEALED = ["reasoning.encrypted_content", "message.output_text.logprobs"]
REASON = "[[tokens=5 reasoning=4 show_reasoning]] why?"


def _user(text: object) -> list[dict[str, object]]:
    return [{"role": "user", "content": text}]


PATHS = {
    "openai.chat": "/v1/chat/completions",
    "openai.completions": "/v1/completions",
    "openai.embeddings": "/v1/embeddings",
    "openai.responses": "/v1/responses",
    "openai.input_tokens": "/v1/responses/input_tokens",
    "anthropic.messages": "/v1/messages",
    "anthropic.count_tokens": "/v1/messages/count_tokens",
}
CHAT = [
    {"messages": _user("[[tokens=6]] hi"), "logprobs": True, "top_logprobs": 2, "seed": 1},
    {"messages": _user("[[tokens=4]] hi"), "n": 2, "temperature": 1.5, "logit_bias": {"5": 1},
     "max_completion_tokens": 30, "max_tokens": 40, "stream_options": {"include_usage": True}},
    {"messages": _user(REASON), "reasoning_effort": "high"},
    {"messages": _user("[[tool=get_weather]] hi"), "tools": [FUNCTION], "tool_choice": "auto"},
    {"messages": _user("[[refusal=cyber]] hi"), "best_of": 2, "reasoning": {"effort": "high"}},
    {"messages": _user("[[tokens=3 nodone]] hi"), "stop": ["x"], "user": "u"},
    {"messages": _user("[[tokens=9 error_at=3]] hi"), "prompt_logprobs": 1},
    {"messages": [
        {"role": "system", "content": "be brief"},
        *_user([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]),
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "sun"},
    ], "response_format": {"type": "json_object"}, "metadata": {"a": "b"}},
]  # fmt: skip
COMPLETIONS = [
    {"prompt": "[[tokens=6]] hi", "max_tokens": 9, "logprobs": 2, "seed": 3},
    {"prompt": ["[[tokens=3]] a", "b"], "n": 2, "best_of": 3, "echo": True, "temperature": 0.1},
    {"prompt": [1, 2, 3], "suffix": "end", "logit_bias": {"5": 1}, "stop": "x"},
    {"prompt": [[1, 2], [3]], "stream_options": {"include_usage": True}, "max_tokens": 0},
]
RESPONSES = [
    {"input": "[[tokens=6]] hi", "include": SEALED, "top_logprobs": 2, "max_output_tokens": 50},
    {"input": REASON, "reasoning": {"effort": "high", "summary": "auto"}, "include": SEALED},
    {"input": REASON, "store": False, "temperature": 1.5, "reasoning": {"summary": "auto"}},
    {"input": "[[tool=get_weather reasoning=3]] hi", "tools": [{"type": "function", **TOOL}]},
    {"input": "[[refusal=cyber]] hi", "safety_identifier": "u"},
    {"input": "[[tokens=3 nodone]] hi", "text": {"format": {"type": "json_object"}}},
    {"input": "[[tokens=9 error_at=3]] hi", "previous_response_id": None},
    {"instructions": "be brief", "background": True, "store": True, "input": [
        *_user([{"type": "input_text", "text": "[[tokens=4]] a"}, {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "auto"}]),
        {"type": "function_call", "call_id": "c", "name": "n", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "d"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "xx"},
    ]},
]  # fmt: skip
MESSAGES = [
    {"messages": _user("[[tokens=6]] hi"), "max_tokens": 50, "temperature": 0.9},
    {"messages": _user(REASON), "max_tokens": 3000, "thinking": {"type": "enabled", "budget_tokens": 1024}},
    {"messages": _user("[[tool=get_weather]] hi"), "max_tokens": 50, "tools": [CLAUDE_TOOL]},
    {"messages": _user("[[refusal=cyber]] hi"), "max_tokens": 50, "stop_sequences": ["x"]},
    {"messages": _user("[[tokens=3 nodone]] hi"), "max_tokens": 50, "metadata": {"user_id": "u"}},
    {"messages": _user("[[tokens=9 error_at=3]] hi"), "max_tokens": 50},
    {"system": [{"type": "text", "text": "be brief"}], "max_tokens": 4000,
     "thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "max"}, "messages": [
        *_user([{"type": "text", "text": "[[tokens=4 reasoning=3]] a"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}]),
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "tool_use", "id": "t", "name": "n", "input": {"a": 1}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "sun"}]},
    ]},
]  # fmt: skip
ASKED: dict[str, list[dict[str, object]]] = {
    "openai.chat": CHAT,
    "openai.completions": COMPLETIONS,
    "openai.embeddings": [
        {"input": ["hi", "you"], "encoding_format": "float", "user": "u"},
        {"input": [1, 2]}, {"input": [[1], [2]], "dimensions": 3}, {"input": "hi"},
    ],
    "openai.responses": RESPONSES,
    "openai.input_tokens": [{"input": one["input"]} for one in RESPONSES[-2:]],
    "anthropic.messages": MESSAGES,
    "anthropic.count_tokens": [{"messages": one["messages"]} for one in MESSAGES[-2:]],
}  # fmt: skip
LINES = [
    b"POST\n/v1/chat/completions\ncontent-type: application/json\n",
    b"GET\n/v1/models?limit=5&after=x\nanthropic-version: 2023-06-01\n",
    b"GET\n/v1/models/gpt-4o\nupgrade: websocket\n",
    b"GET\n/v1/responses/resp_1?stream=true&starting_after=4&include[]=a\n\n",
    b"DELETE\n/v1/responses/resp_1\n\n",
    b"POST\n/v1/responses/resp_1/cancel\n\n",
    b"GET\n/v1/responses/resp_1/input_items?limit=2&order=asc\n\n",
    b"POST\n/v1/messages/count_tokens?beta=true\nanthropic-beta: a\n",
    b"POST\n/v1/messages/batches\n\n",
    b"POST\n/v1/files\n\n",
    b"GET\n/v1/realtime?model=x\nUpgrade: websocket\n",
]


async def gathered() -> dict[str, list[bytes]]:
    """Return inputs without heads by their kind: 'read.openai.chat', 'answer.openai.chat', ..."""
    found: dict[str, list[bytes]] = {"routes": list(LINES)}
    async with running() as standin, aiohttp.ClientSession() as session:
        for name, bodies in ASKED.items():
            read = found.setdefault(f"read.{name}", [])
            answers = found.setdefault(f"answer.{name}", [])
            for asked in bodies:
                for stream in (False, True):
                    told = json.dumps({"model": "standin", "stream": stream, **asked}).encode()
                    read.append(told)
                    answers.append(await _answer(session, standin.url + PATHS[name], told))
    found["splice"] = [body for name in ASKED for body in found[f"read.{name}"]]
    found["sse"] = [body for name in ASKED for body in found[f"answer.{name}"] if b"data:" in body]
    found["answer.openai.stored"] = found["answer.openai.responses"]
    return {name: [body for body in bodies if body] for name, bodies in found.items()}


def written(found: dict[str, list[bytes]], home: Path) -> None:
    """Write all inputs, each under a few heads, into a folder a kind."""
    for name, bodies in found.items():
        folder = home / name
        folder.mkdir(parents=True)
        for number, body in enumerate(bodies):
            for head in HEADS[number % 3 :: 3]:
                (folder / f"{number:03}-{head[0]}").write_bytes(head + body)


async def _answer(session: aiohttp.ClientSession, url: str, body: bytes) -> bytes:
    headers = {"content-type": "application/json", "anthropic-version": "2023-06-01"}
    async with session.post(url, data=body, headers=headers) as answer:
        return await answer.read()

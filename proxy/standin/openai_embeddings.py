"""OpenAI's embeddings: vectors of length one that follow from model and text."""

from __future__ import annotations

import math
from base64 import b64encode
from hashlib import shake_128
from struct import pack, unpack
from typing import TYPE_CHECKING

from proxy.core.errors import RequestError
from proxy.standin.directives import directives_of
from proxy.standin.fields import model_of, number, parsed
from proxy.standin.openai_completions import prompts_of
from proxy.standin.reply import Plain

if TYPE_CHECKING:
    from proxy.standin.documents import Json
    from proxy.standin.reply import Call

DIMENSIONS, MOST = 16, 3072


def embeddings(call: Call) -> Plain:
    """Return the answer to POST /v1/embeddings; raises RequestError."""
    asked = parsed(call.body)
    model = model_of(asked)
    texts, tokens = prompts_of(asked, "input")
    dimensions = number(asked, "dimensions", 1, MOST) or DIMENSIONS
    form = asked.get("encoding_format") or "float"
    if form not in ("float", "base64"):
        raise RequestError(
            "Invalid 'encoding_format': expected float or base64.", param="encoding_format"
        )
    directives = directives_of(" ".join(texts), call.header)
    data = []
    for index, text in enumerate(texts):
        packed = _vector(f"{model}\0{text}".encode(), dimensions)
        told: object = b64encode(packed).decode()
        if form == "float":
            told = list(unpack(f"<{dimensions}f", packed))
        data.append({"object": "embedding", "index": index, "embedding": told})
    body: Json = {"object": "list", "data": data, "model": model}
    if directives.usage:
        body["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    return Plain(body, model, tokens, directives=directives)


def _vector(seed: bytes, dimensions: int) -> bytes:
    """Return 32-bit floats, little-endian, so that both formats tell the same numbers."""
    drawn = [byte - 127.5 for byte in shake_128(seed).digest(dimensions)]
    length = math.sqrt(sum(each * each for each in drawn))
    return pack(f"<{dimensions}f", *(each / length for each in drawn))

"""What we read from a request before doing anything."""

from __future__ import annotations

from dataclasses import dataclass, field

# The knobs that matter, in all dialects by one name.
FEATURES = frozenset(
    {
        "audio",
        "background",
        "best_of",
        "echo",
        "encrypted_reasoning",  # reasoning is handed out sealed, to be sent back
        "files",
        "images",
        "logit_bias",
        "logprobs",
        "n",
        "prediction",
        "prefill",  # the client wrote the beginning of the answer
        "previous_response",
        "priority",  # an answer sooner, for more money
        "prompt_logprobs",
        "reasoning",  # reasoning was asked for
        "reasoning_text",  # and is to be shown, in full or as a summary
        "seed",
        "server_tools",  # tools that the provider runs itself
        "stop",
        "store",
        "structured",
        "suffix",
        "tools",
        "top_logprobs",
    }
)


ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """One request as the policies see it. Prompt text stays inside and out of every repr.

    dialect:        name of the wire format ('openai.chat')
    model:          as the client named it; '' for routes without one
    stream:         the client wants server-sent events
    metered:        False for model lists and the like: authenticated, journalled, never charged
    prompt_tokens:  estimate of what the prompt costs, all messages, tools and images counted
    output_tokens:  the most that one choice may produce: the client's own cap, else the model's
                    reservation from the models file
    output_capped:  the client gave that cap itself
    choices:        answers asked for (`n`), for all prompts together
    prompts:        prompts in one request, each with answers of its own
    reasoning:      the reasoning effort asked for ('' when not asked)
    features:       knobs in use, of FEATURES
    wants_usage:    the client asked for the usage chunk of a stream itself
    references:     ids of stored objects that the request builds on or reads: they must be the
                    caller's own
    stored:         the model API will keep the answer for later
    user:           the client's own end-user id, '' when absent
    prompt:         all text of the prompt, in order, for keyed fingerprints only
    turns:          the prompt by its turns, each a role of ROLES and its text; for keyed features
    temperature:    as asked, None where it was not
    """

    dialect: str
    model: str = ""
    stream: bool = False
    metered: bool = True
    prompt_tokens: int = 0
    output_tokens: int = 0
    output_capped: bool = False
    choices: int = 1
    prompts: int = 1
    reasoning: str = ""
    features: frozenset[str] = frozenset()
    wants_usage: bool = False
    references: tuple[str, ...] = ()
    stored: bool = False
    user: str = field(default="", repr=False)
    prompt: str = field(default="", repr=False)
    turns: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one exchange. `None` means that nobody said.

    reported_*: as the provider's usage says
    relayed:    output tokens that we counted in what was passed to the client
    """

    reported_prompt: int | None = None
    reported_output: int | None = None
    reported_reasoning: int | None = None
    reported_cached: int | None = None
    relayed: int = 0

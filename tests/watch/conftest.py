"""Exchanges as profiles see them, made of few words."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from proxy.watch.features import Features
from proxy.watch.layout import DIMENSIONS
from proxy.watch.observation import Observation, Subject

NOON = 1_780_000_000_000_000
Seen = Callable[..., Observation]


def _features(number: int = 1, **more: object) -> Features:
    """Return features of a prompt by its number: another number is another prompt."""
    dice = np.random.default_rng(number)
    vector = dice.standard_normal(DIMENSIONS).astype(np.float32)
    given: dict[str, object] = {
        "prompt": int(dice.integers(2**62)),
        "template": int(dice.integers(2**62)),
        "topic": int(dice.integers(4096)),
        "near": int(dice.integers(2**62)),
        "vector": vector / np.linalg.norm(vector),
        "views": (0, int(dice.integers(1, 2**62)), int(dice.integers(1, 2**62))),
        "words": 30,
    }
    return Features(**(given | more))  # type: ignore[arg-type]


def _made(number: int = 1, at: int = NOON, **more: object) -> Observation:
    """Return an exchange; what is of the features goes there."""
    of_features = {
        name: more.pop(name) for name in list(more) if name in Features.__dataclass_fields__
    }
    subject = more.pop("subject", Subject("acme", "acme", "free"))
    given: dict[str, object] = {"output_tokens": 200, "prompt_tokens": 40}
    return Observation(
        subject, at, at + 1_000_000, _features(number, **of_features), **(given | more)
    )  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def seen() -> Seen:
    """Return what makes exchanges: by the number of the prompt, the moment, and what differs."""
    return _made

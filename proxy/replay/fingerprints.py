"""Fingerprints in a replay: as they were when the traffic was recorded."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.core.facts import RequestFacts
    from proxy.traffic.entry import Prints

PRINT, HEX = 16, frozenset("0123456789abcdef")


class Fingerprints:
    """Fingerprints of texts: those that were taken when the traffic was recorded, else our own.

    What is a fingerprint already (traffic without text) stands for itself.
    """

    def __init__(self) -> None:
        self.known: Mapping[str, str] = {}

    def __call__(self, text: str) -> str:
        """Return 16 hex digits for a text."""
        found = self.known.get(text)
        if found:
            return found
        if len(text) == PRINT and HEX.issuperset(text):
            return text
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()

    def of(self, prints: Prints | None, facts: RequestFacts, address: str) -> None:
        """Take the fingerprints of the next request."""
        if prints is None:
            if self.known:
                self.known = {}
            return
        self.known = {facts.prompt: prints.prompt, facts.model: prints.model, address: prints.ip}

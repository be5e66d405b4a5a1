"""What an examination finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is: `fail` means that Weir would not serve rightly."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. Neither text holds a secret.

    what:   what was found
    advice: what to do about it; '' where nothing needs doing
    """

    level: Level
    what: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.level:4}  {self.what}" + (f"\n      -> {self.advice}" if self.advice else "")


def ok(what: str) -> Finding:
    """Say that something is as it should be."""
    return Finding(Level.OK, what)


def warn(what: str, advice: str) -> Finding:
    """Say that something works, but not as well as it could."""
    return Finding(Level.WARN, what, advice)


def fail(what: str, advice: str) -> Finding:
    """Say that something does not work."""
    return Finding(Level.FAIL, what, advice)

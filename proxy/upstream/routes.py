"""Which model API serves a request."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import translate
from typing import TYPE_CHECKING

from proxy.core.errors import ModelUnknownError
from proxy.settings.values import STANDIN
from proxy.upstream.client import HttpUpstream

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from proxy.settings.schema import UpstreamSettings


@dataclass(frozen=True, slots=True)
class Route:
    """What one upstream serves: whole dialect names and model names as one pattern each."""

    upstream: HttpUpstream
    dialects: re.Pattern[str]
    models: re.Pattern[str]


def upstreams(settings: Sequence[UpstreamSettings], standin: str | None = None) -> Upstreams:
    """Make the model APIs of the settings.

    standin: base URL of the stand-in, where the settings name it. OSError for an unreadable CA
    file.
    """
    return Upstreams(
        [
            Route(
                HttpUpstream(each, standin if each.url == STANDIN else None),
                pattern(each.dialects),
                pattern(each.models),
            )
            for each in settings
        ]
    )


def pattern(globs: Sequence[str]) -> re.Pattern[str]:
    """Return one pattern for any of some globs; upper and lower case differ."""
    return re.compile("|".join(translate(glob) for glob in globs) or "(?!)")


class Upstreams:
    """All model APIs, in the order in which they are asked whether they serve a model."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = tuple(routes)

    def choose(self, dialect: str, model: str) -> HttpUpstream:
        """Return the first upstream that serves a model; a route without one ('') fits any glob.

        Raises ModelUnknownError.
        """
        for each in self._routes:
            if each.dialects.match(dialect) and (not model or each.models.match(model)):
                return each.upstream
        raise ModelUnknownError("no upstream serves this model", param="model")

    def __iter__(self) -> Iterator[HttpUpstream]:
        return (each.upstream for each in self._routes)

    async def close(self) -> None:
        """Let go of all connections."""
        for each in self._routes:
            await each.upstream.close()

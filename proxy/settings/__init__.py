"""The settings: everything that is set before Weir starts.

All mistakes of all sources are told at once, each as `where: path: sentence`, where `where` is
'weir.yaml:12:3', '--workers' or 'WEIR_WORKERS'. Secrets come from the environment or from files
and stand in no message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from proxy.core.errors import SettingsError
from proxy.settings.schema import Settings
from proxy.settings.sentences import contradictions, sentence
from proxy.settings.sources import FLAGS, Sources

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["FLAGS", "Settings", "load_settings"]


def load_settings(
    file: Path | None, env: Mapping[str, str], flags: Mapping[str, object]
) -> Settings:
    """Return the settings of a file (None: weir.yaml where there is one), environment and flags.

    `flags` has the names in `FLAGS`; None means not given. Raises SettingsError with all mistakes.
    """
    sources = Sources(file)
    sources.overlay(env, flags)
    sources.fill()
    try:
        settings = Settings.model_validate(sources.values)
    except ValidationError as failure:
        for error in failure.errors(include_url=False):
            sources.blame(error["loc"], sentence(error, error["loc"]))
    else:
        for steps, said in contradictions(settings):
            sources.blame(steps, said)
        settings = sources.with_credentials(settings, env)
        if not sources.mistakes:
            return settings
    raise SettingsError("\n".join(sources.mistakes))

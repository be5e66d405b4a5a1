"""What several commands share: options, a type for durations, loading the settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy.core.quantities import parse_duration

if TYPE_CHECKING:
    from proxy.auth.keyring import Keyring
    from proxy.settings import Settings

FOUND, BAD = 1, 2
HOME = click.option("--home", type=Path, default=None, help="Where all state is (.weir).")
SETTINGS = click.option(
    "--settings", "file", type=Path, default=None, help="Settings file (./weir.yaml if present)."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Duration(click.ParamType[int]):
    """A length of time such as 30s, 24h or 30d; microseconds once read."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return microseconds."""
        if isinstance(value, int):
            return value
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def load(file: Path | None, flags: dict[str, object]) -> Settings:
    """Return the settings of a file, the environment and some flags. SettingsError."""
    from proxy.settings import load_settings  # noqa: PLC0415 - loaded when needed, so --help is quick

    return load_settings(file, os.environ, flags)


def home_flag(home: Path | None) -> dict[str, object]:
    """Return `--home` as a flag for `load`."""
    return {} if home is None else {"home": str(home)}


def keyring_of(settings: Settings) -> Keyring:
    """Return the keyring that some settings name; its pepper is made with the first key."""
    from proxy.auth.keyring import Keyring  # noqa: PLC0415
    from proxy.auth.pepper import ensure_pepper  # noqa: PLC0415

    pepper = ensure_pepper(settings.home, os.environ, settings.keys)
    return Keyring(settings.keys, pepper)

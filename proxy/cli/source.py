"""Where a command's traffic comes from: files, or a population that is composed on the fly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from proxy.cli.progress import bar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from proxy.traffic.entry import Entry
    from proxy.traffic.reading import Tally

HOUR = 3_600_000_000
SPECS = frozenset({".yaml", ".yml"})


class Source:
    """Traffic files, or one population; given from the beginning as often as it is asked for.

    tally: of the last reading
    seed:  in place of the population's own, None to keep that
    """

    def __init__(self, paths: tuple[Path, ...], data: Path | None, seed: int | None) -> None:
        from proxy.population.spec import load  # noqa: PLC0415
        from proxy.traffic.reading import Tally  # noqa: PLC0415

        specs = [path for path in paths if path.suffix in SPECS]
        if specs and len(paths) > 1:
            raise click.UsageError("one population alone, or traffic files")
        for path in paths:
            if not path.exists():
                raise click.UsageError(f"there is no traffic at {path}")
        self._paths, self._seed = paths, seed
        self._spec = load(specs[0], data) if specs else None
        self._times = 0
        self.tally: Tally = Tally()

    def asked_of(self) -> dict[str, tuple[str, ...]]:
        """Return the texts that each account of a population asks of; nothing of traffic files."""
        from proxy.population.compose import asked_of  # noqa: PLC0415

        return {} if self._spec is None else asked_of(self._spec, self._seed)

    def entries(self) -> Iterator[Entry]:
        """Yield the traffic in the order of time, under a progress bar."""
        from proxy.population.compose import compose  # noqa: PLC0415
        from proxy.traffic.reading import Tally, entries, size  # noqa: PLC0415

        self._times += 1
        title = "reading" if self._times == 1 else "evaluating"
        self.tally = Tally()
        if self._spec is None:
            with bar(title, size(self._paths)) as advance:
                yield from entries(self._paths, self.tally, advance)
            return
        spec = self._spec
        with bar(title, (spec.end - spec.start) // HOUR) as advance:
            reached = spec.start // HOUR
            for entry in compose(spec, self._seed):
                self.tally.read += 1
                hour = entry.t // HOUR
                if hour > reached:
                    advance(hour - reached)
                    reached = hour
                yield entry

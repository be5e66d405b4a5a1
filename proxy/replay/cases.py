"""Policy cases: `policies/tests/*.yaml` read, played and told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.core.errors import PolicyError
from proxy.document import document, dotted
from proxy.policy.files import Mistake, files, mistake, parse
from proxy.policy.loader import CASES, load
from proxy.replay.script import CasesText, case_schema
from proxy.replay.stage import play

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.document import Document
    from proxy.policy.loader import Loaded

__all__ = ["Report", "Result", "case_schema", "run_cases"]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one case.

    file, line: where it is written
    wrongs:     what was other than expected, as sentences; none when the case holds
    """

    file: str
    line: int
    case: str
    because: str = ""
    wrongs: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether all was as expected."""
        return not self.wrongs

    def lines(self) -> list[str]:
        """Return the result as lines for people."""
        if self.passed:
            return [f"ok    {self.file}:{self.line}: {self.case}"]
        lines = [f"FAIL  {self.file}:{self.line}: {self.case}"]
        lines += [f"      {wrong}" for wrong in self.wrongs]
        return lines + ([f"      because: {self.because}"] if self.because else [])


@dataclass(frozen=True, slots=True)
class Report:
    """What became of all cases. untested: policy files that no case is about."""

    results: tuple[Result, ...]
    untested: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every case holds and every policy file has one."""
        return not self.untested and all(result.passed for result in self.results)

    def lines(self) -> list[str]:
        """Return the report as lines for people; what went wrong comes last."""
        lines = [line for each in self.results if each.passed for line in each.lines()]
        lines += [line for each in self.results if not each.passed for line in each.lines()]
        lines += [
            f"FAIL  {file}: has no cases ({_beside(file)} would do)" for file in self.untested
        ]
        failed = sum(not result.passed for result in self.results) + len(self.untested)
        return [*lines, f"{len(self.results)} cases, {failed} failed"]

    def as_dict(self) -> dict[str, object]:
        """Return the report for programs."""
        return {
            "passed": self.passed,
            "cases": [
                {
                    "file": each.file,
                    "line": each.line,
                    "case": each.case,
                    "passed": each.passed,
                    "wrongs": list(each.wrongs),
                }
                for each in self.results
            ],
            "untested": list(self.untested),
        }


def run_cases(path: Path) -> Report:
    """Play the cases of a directory of policies, or one file of them.

    Raises PolicyError for policies or cases that cannot be read, every mistake a line.
    """
    alone = path if path.is_file() and path.parent.name == CASES else None
    directory = path if path.is_dir() else path.parent if alone is None else path.parent.parent
    rules = load(directory)
    cases = directory / CASES
    mistakes: list[Mistake] = []
    read = [
        (file, *found)
        for file in (files(cases) if cases.is_dir() else [])
        if (found := _read(file, mistakes)) is not None
    ]
    if mistakes:
        raise PolicyError("\n".join(str(each) for each in mistakes))
    results = tuple(
        result
        for file, text, found in read
        if alone is None or file == alone
        for result in _play(file, text, found, rules)
    )
    tested = {file.name for file, *_ in read}
    untested = tuple(
        policy.source
        for policy in rules.policies.policies
        if alone is None and policy.source.rpartition("/")[2] not in tested
    )
    return Report(results, untested)


def _read(file: Path, mistakes: list[Mistake]) -> tuple[CasesText, Document] | None:
    name = str(file)
    try:
        found = document(file)
    except OSError as error:
        mistakes.append(Mistake(name, 0, 0, "", f"cannot be read ({error.strerror})"))
        return None
    if found.mistakes:
        mistakes += [
            Mistake(name, *each.place, dotted(each.steps), each.sentence) for each in found.mistakes
        ]
        return None
    text = parse(name, found, CasesText, mistakes)
    if text is None:
        return None
    lines: dict[str, int] = {}
    for index, case in enumerate(text.cases):
        steps = ("cases", index, "case")
        place = found.place(steps)
        if case.case in lines:
            told = f"is the name of the case in line {lines[case.case]}"
            mistakes.append(mistake(name, place, steps, told))
        lines.setdefault(case.case, place[0])
    return text, found


def _play(file: Path, text: CasesText, found: Document, rules: Loaded) -> list[Result]:
    return [
        Result(
            str(file),
            found.place(("cases", index, "case"))[0],
            case.case,
            case.because,
            tuple(play(rules, text.given, case)),
        )
        for index, case in enumerate(text.cases)
    ]


def _beside(file: str) -> str:
    directory, slash, name = file.rpartition("/")
    return f"{directory}{slash}{CASES}/{name}"

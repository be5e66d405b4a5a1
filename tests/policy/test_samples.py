"""The policies that ship are good, are tested, and are what their schema says."""

import re
from pathlib import Path

import jsonschema
import orjson
import pytest

from proxy.document import document
from proxy.policy.loader import load
from proxy.policy.schema import models_schema, policy_schema
from proxy.replay.cases import case_schema, run_cases
from proxy.replay.stage import Stage

ROOT = Path(__file__).parents[2] / "policies"
SCHEMAS = {"policy": policy_schema, "models": models_schema, "cases": case_schema}


def kind(path: Path) -> str:
    if path.parent.name == "tests":
        return "cases"
    return "models" if path.name == "models.yaml" else "policy"


FILES = sorted(ROOT.rglob("*.yaml"))


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_committed_schema_is_the_one_that_is_generated(name):
    committed = orjson.loads((ROOT / "schema" / f"{name}.json").read_bytes())
    assert committed == SCHEMAS[name]()
    jsonschema.Draft202012Validator.check_schema(committed)


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_a_sample_is_what_its_schema_says_and_names_it(path):
    jsonschema.validate(document(path).values, SCHEMAS[kind(path)]())
    first = path.read_text().splitlines()[0]
    named = first.removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / named).resolve() == ROOT / "schema" / f"{kind(path)}.json"


def test_every_case_of_the_samples_holds():
    report = run_cases(ROOT)
    assert report.passed, "\n".join(report.lines())
    assert {Path(result.file).stem for result in report.results} == {
        "free", "paid", "enterprise", "everyone",
    }  # fmt: skip


@pytest.mark.parametrize(("plan", "at_once"), [("free", 10), ("paid", 50), ("enterprise", 50)])
def test_a_newcomer_is_not_stopped(plan, at_once):
    stage = Stage(load(ROOT), 1_768_392_000_000_000)
    given = {"plan": plan, "model": "standin"}
    decisions = [stage.ask(given)[2] for _ in range(at_once)]
    assert [decision.effect for decision in decisions] == ["allow"] * at_once


def test_a_plan_charges_each_bucket_once():
    rules = load(ROOT)
    for plan in ("free", "", "paid", "enterprise", "unheard-of"):
        stage = Stage(rules, 1_768_392_000_000_000)
        counted, *_ = stage.ask({"plan": plan})
        assert len({charge.key for charge in counted.charges}) == len(counted.limits) >= 3


def test_the_pieces_of_the_manual_are_read_as_they_stand(tmp_path):
    manual = (ROOT.parent / "docs" / "policies.md").read_text()
    pieces = {
        piece.partition(":")[0]: piece
        for part in manual.split("\n## ")[1:]
        for piece in re.findall(
            r"```yaml\n((?:capabilities|shapes|ladder|detectors|reasoning):.*?)```", part, re.DOTALL
        )
    }
    assert set(pieces) == {"capabilities", "shapes", "ladder", "detectors", "reasoning"}
    (tmp_path / "p.yaml").write_text("policy: p\n" + "".join(pieces.values()))
    (policy,) = load(tmp_path).policies.policies
    assert (len(policy.capabilities), len(policy.ladder), policy.foreign) == (3, 4, "drop")
    assert set(policy.detectors) == {"template_concentration", "known_sets", "steadiness"}


def test_the_example_of_the_manual_is_told_truly(tmp_path):
    manual = (ROOT.parent / "docs" / "policies.md").read_text()
    example = manual.partition("## An example, from end to end")[2].partition("\n## ")[0]
    policy, cases = re.findall(r"```yaml\n(.*?)```", example, re.DOTALL)
    (shown,) = re.findall(r"```\n(FAIL .*?)```", example, re.DOTALL)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "pilot.yaml").write_text(cases)
    (tmp_path / "models.yaml").write_bytes((ROOT / "models.yaml").read_bytes())
    (tmp_path / "pilot.yaml").write_text(policy)
    assert run_cases(tmp_path).passed
    (tmp_path / "pilot.yaml").write_text(policy.replace("    mode: shadow\n", ""))
    (failed,) = [each for each in run_cases(tmp_path).results if not each.passed]
    assert "\n".join(failed.lines()).replace(str(tmp_path), "policies") == shown.rstrip()

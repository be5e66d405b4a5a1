"""Every bad file says in its first lines what its author reads."""

from pathlib import Path

import pytest

from proxy.core.errors import PolicyError
from proxy.policy.loader import check, load

BAD = Path(__file__).parent / "bad"
GOOD = "policy: good\nlimits:\n  - {limit: r, allow: 6 requests, per: 1m}\n"
FILES = sorted(BAD.rglob("*.yaml"))


def expected(raw: bytes) -> list[str]:
    lines = raw.decode(errors="replace").splitlines()
    return [line.removeprefix("# ") for line in lines if line.startswith("# ") and ": " in line]


def test_there_is_a_gallery():
    assert len(FILES) >= 50


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_a_mistake_has_its_sentence(file, tmp_path):
    raw = file.read_bytes()
    bad = tmp_path / "bad.yaml"
    if file.parent.name == "models":
        bad = tmp_path / "models.yaml"
        (tmp_path / "good.yaml").write_text(GOOD)
    bad.write_bytes(raw)
    told = [f"{bad}:{sentence}" for sentence in expected(raw)]
    assert told
    assert [str(mistake) for mistake in check([tmp_path])] == told
    with pytest.raises(PolicyError) as failed:
        load(tmp_path)
    assert str(failed.value).splitlines() == told


def test_the_mistakes_of_all_files_are_told_at_once(tmp_path):
    for name in ("an-unknown-unit", "a-tab", "a-misspelt-key"):
        (tmp_path / f"{name}.yaml").write_bytes((BAD / f"{name}.yaml").read_bytes())
    told = [str(mistake) for mistake in check([tmp_path])]
    assert [line.split(":")[0] for line in told] == [
        str(tmp_path / f"{name}.yaml") for name in ("a-misspelt-key", "a-tab", "an-unknown-unit")
    ]


def test_one_file_is_told_its_own_mistakes_alone(tmp_path):
    for name in ("an-unknown-unit", "a-tab"):
        (tmp_path / f"{name}.yaml").write_bytes((BAD / f"{name}.yaml").read_bytes())
    (told,) = check([tmp_path / "a-tab.yaml"])
    assert (told.file, told.line) == (str(tmp_path / "a-tab.yaml"), 4)

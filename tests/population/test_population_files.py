"""Files of populations, texts and traces: what is wrong with them is told, with its place."""

import gzip
import json
from pathlib import Path

import pytest
import zstandard

from proxy.core.errors import PopulationError
from proxy.population.compose import compose
from proxy.population.spec import load
from proxy.population.texts import LONGEST, texts, trace

HERE = Path(__file__).parent
SAMPLE = HERE / "sample"
BENCH = HERE.parents[1] / "bench" / "populations"
FILES = sorted((HERE / "bad").glob("*.yaml"))


def test_there_is_a_gallery():
    assert len(FILES) >= 20


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_a_mistake_in_a_population_has_its_sentence(file):
    lines = file.read_text().splitlines()
    told = [f"{file}:{line.removeprefix('# ')}" for line in lines if line.startswith("# ")]
    assert told
    with pytest.raises(PopulationError) as failed:
        load(file, SAMPLE)
    assert str(failed.value).splitlines() == told


def test_a_population_that_is_not_there_is_told(tmp_path):
    with pytest.raises(PopulationError, match=r"none\.yaml: cannot be read"):
        load(tmp_path / "none.yaml")


def test_data_is_beside_the_file_unless_told_otherwise():
    assert load(BENCH / "small.yaml").texts == load(BENCH / "small.yaml", SAMPLE).texts


@pytest.mark.parametrize("name", ["medium", "large", "calibration", "strange"])
def test_the_great_populations_are_written_well(name, tmp_path):
    # Their texts are not there in every checkout: every other mistake would be told beside them.
    with pytest.raises(PopulationError) as failed:
        load(BENCH / f"{name}.yaml", tmp_path)
    told = str(failed.value).splitlines()
    assert all("cannot be read (No such file or directory)" in line for line in told)
    assert len(told) == 15


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
def test_texts_are_read_plain_and_packed(tmp_path, suffix):
    raw = b'{"prompt": "one", "response": "1"}\n\n{"prompt": "two", "system": "s"}\n'
    pack = {".gz": gzip.compress, ".zst": zstandard.compress}.get(suffix[6:], bytes)
    file = tmp_path / f"texts{suffix}"
    file.write_bytes(pack(raw))
    found = texts(file)
    assert [(text.prompt, text.response, text.system) for text in found] == [
        ("one", "1", ""), ("two", "", "s"),
    ]  # fmt: skip
    assert len(texts(file, 1)) == 1


def test_a_conversation_ends_where_two_of_a_side_speak(tmp_path):
    said = [("user", "a"), ("assistant", "b"), ("assistant", "c"), ("user", "d")]
    row = {"prompt": "a", "conversation": [{"role": r, "content": c} for r, c in said]}
    (tmp_path / "t.jsonl").write_text(json.dumps(row))
    assert texts(tmp_path / "t.jsonl")[0].turns == ("a", "b")


def test_a_book_is_cut(tmp_path):
    (tmp_path / "t.jsonl").write_text(json.dumps({"prompt": "x" * 9_000}))
    assert len(texts(tmp_path / "t.jsonl")[0].prompt) == LONGEST


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "holds no text"),
        (b"{", "line 1: is not JSON"),
        (b'{"prompt": "a"}\n[]', "line 2: must be an object"),
        (b'{"prompt": " "}', "line 1: 'prompt' must be text that is not empty"),
        (b'{"prompt": "a", "system": 3}', "line 1: 'system' must be text"),
        (b'{"prompt": "a", "conversation": "b"}', "line 1: 'conversation' must be a list"),
        (b'{"prompt": "a", "conversation": ["b"]}', "line 1: a turn has a 'role' and a 'content'"),
    ],
)
def test_a_bad_text_is_told_with_its_line(tmp_path, raw, told):
    (tmp_path / "t.jsonl").write_bytes(raw)
    with pytest.raises(ValueError, match=told):
        texts(tmp_path / "t.jsonl")


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_packed_file_that_is_cut_is_told(tmp_path, suffix):
    pack = {".gz": gzip.compress, ".zst": zstandard.compress}[suffix]
    rows = "".join(json.dumps({"prompt": str(k * 7919)}) + "\n" for k in range(500))
    (tmp_path / f"t{suffix}").write_bytes(pack(rows.encode())[:-60])
    with pytest.raises(ValueError, match=r"whole|JSON"):
        texts(tmp_path / f"t{suffix}")


def test_a_short_trace_is_told(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"t": 0, "completion_tokens": 5}\n')
    with pytest.raises(ValueError, match="holds 1 arrivals"):
        trace(tmp_path / "t.jsonl")


def test_answers_are_as_long_as_those_of_the_trace(tmp_path):
    rows = [{"t": k * k / 7, "completion_tokens": 11 + k % 3} for k in range(40)]
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (tmp_path / "q.jsonl").write_bytes((SAMPLE / "questions.jsonl").read_bytes())
    (tmp_path / "p.yaml").write_text("""\
population: p
start: "2026-06-01"
days: 3
sources: {q: {path: q.jsonl}}
traces: {t: {path: t.jsonl}}
honest: [{archetype: rag, accounts: 4, sources: q, trace: t, models: gpt-4.1}]
""")
    done = [e.answer for e in compose(load(tmp_path / "p.yaml"))
            if e.path != "/v1/embeddings" and e.answer.end == "complete" and not e.answer.text]  # fmt: skip
    assert {answer.usage.reported_output for answer in done} == {11, 12, 13}

"""Reading what writers, crashes and operators leave behind."""

from __future__ import annotations

import gzip
import os

import orjson

from proxy.journal import reader


def lines(*names):
    return b"".join(orjson.dumps({"v": 1, "id": name}) + b"\n" for name in names)


def put(directory, name, data, age=0):
    path = directory / name
    path.write_bytes(data)
    os.utime(path, (1_000_000 - age, 1_000_000 - age))
    return path


def test_all_slots_turned_and_packed_files_are_read_oldest_first(tmp_path):
    put(tmp_path, "decisions-0.jsonl", lines("e"), age=0)
    put(tmp_path, "decisions-1.jsonl", lines("d"), age=1)
    put(tmp_path, "decisions-0-20260101T000000000000Z.jsonl", lines("b", "c"), age=2)
    put(tmp_path, "decisions-0-20250101T000000000000Z.jsonl.gz", gzip.compress(lines("a")), age=3)
    put(tmp_path, "other.jsonl", lines("x"), age=1)
    tally = reader.Tally()
    assert [each["id"] for each in reader.records(tmp_path, tally)] == list("abcde")
    assert (tally.lines, tally.files) == (0, 0)


def test_torn_lines_and_other_things_are_skipped_and_counted(tmp_path):
    torn = lines("a") + b'{"id":"b","v\n\n[1]\n{"v":1}\n\xff\xfe\n' + lines("c") + b'{"id":"d'
    put(tmp_path, "decisions-0.jsonl", torn)
    tally = reader.Tally()
    assert [each["id"] for each in reader.records(tmp_path, tally)] == ["a", "c"]
    assert (tally.lines, tally.files) == (5, 0)


def test_a_packed_file_that_ends_too_soon_gives_what_it_has(tmp_path):
    names = [f"{number}" for number in range(5000)]
    packed = gzip.compress(lines(*names))
    put(tmp_path, "decisions-0-20250101T000000000000Z.jsonl.gz", packed[: len(packed) // 2], age=1)
    put(tmp_path, "decisions-1-20250101T000000000000Z.jsonl.gz", b"no gzip at all", age=2)
    put(tmp_path, "decisions-0.jsonl", lines("last"))
    tally = reader.Tally()
    found = [each["id"] for each in reader.records(tmp_path, tally)]
    assert found[-1] == "last"
    assert found[:-1] == names[: len(found) - 1]
    assert tally.files == 2
    assert reader.find(tmp_path, "last") == {"v": 1, "id": "last"}


def test_a_decision_is_found_in_the_newest_file_that_has_it(tmp_path):
    new = orjson.dumps({"v": 1, "id": "wd_1", "t": 2}) + b"\n"
    old = orjson.dumps({"v": 1, "id": "wd_1", "t": 1}) + b"\n"
    put(tmp_path, "decisions-0.jsonl", new)
    put(tmp_path, "decisions-0-20260101T000000000000Z.jsonl", old, age=9)
    assert reader.find(tmp_path, "wd_1") == {"v": 1, "id": "wd_1", "t": 2}


def test_an_id_that_is_only_mentioned_or_a_part_of_another_is_not_a_find(tmp_path):
    mentions = orjson.dumps({"v": 1, "id": "wd_22", "model": "wd_2"}) + b"\n"
    put(tmp_path, "decisions-0.jsonl", mentions)
    assert reader.find(tmp_path, "wd_2") is None


def test_a_file_turned_while_we_look_is_looked_into_under_its_new_name(tmp_path, monkeypatch):
    current = put(tmp_path, "decisions-0.jsonl", lines("wd_1"))
    listed = reader.files

    def turn_after_listing(directory):
        found = listed(directory)
        if current.exists():
            current.rename(tmp_path / "decisions-0-20260101T000000000000Z.jsonl")
        return found

    monkeypatch.setattr(reader, "files", turn_after_listing)
    assert reader.find(tmp_path, "wd_1") == {"v": 1, "id": "wd_1"}


def test_a_journal_that_is_not_there_is_empty(tmp_path):
    assert list(reader.records(tmp_path / "nowhere")) == []
    assert reader.find(tmp_path / "nowhere", "wd_1") is None

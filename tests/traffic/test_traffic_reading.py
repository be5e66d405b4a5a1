"""Reading: files of all kinds as one stream in the order of time."""

import errno
import gzip
import itertools
import random
import sys
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.errors import TrafficError
from proxy.traffic import reading
from proxy.traffic.entry import Entry
from proxy.traffic.files import lines
from proxy.traffic.parsing import line_of
from proxy.traffic.reading import Tally, entries, size

S = 1_000_000
T = 1_763_900_000 * S


def at(second, account="a", **more):
    return Entry(T + round(second * S), account, account, account, body={}, **more)


def text(*seconds, account="a"):
    return b"".join(line_of(at(second, account)) for second in seconds)


def zstd(data):
    return zstandard.ZstdCompressor().compress(data)


def read(*paths, tally=None):
    tally = Tally() if tally is None else tally
    found = [(entry.t - T) / S for entry in entries(paths, tally)]
    assert tally.read == len(found)
    return found


def why(tally):
    return [(each.line, each.why) for each in tally.complaints]


@pytest.mark.parametrize("packed", [bytes, gzip.compress, zstd], ids=["plain", "gzip", "zstd"])
def test_a_file_is_known_by_how_it_begins_whatever_its_name(tmp_path, packed):
    file = tmp_path / "traffic.txt"
    file.write_bytes(packed(text(1, 2)))
    assert read(file) == [1, 2]


@pytest.mark.parametrize("packed", [gzip.compress, zstd], ids=["gzip", "zstd"])
def test_members_one_behind_the_other_are_one_file(tmp_path, packed):
    file = tmp_path / "a.jsonl"
    cut = text(1, 2)
    file.write_bytes(packed(cut[:30]) + packed(b"") + packed(cut[30:] + text(3)) + b"\0" * 512)
    assert read(file) == [1, 2, 3]


@pytest.mark.parametrize("packed", [gzip.compress, zstd], ids=["gzip", "zstd"])
def test_what_comes_before_a_torn_ending_is_used(tmp_path, packed):
    file = tmp_path / "a.jsonl"
    file.write_bytes(packed(text(1, 2)) + packed(text(3))[:-6])
    tally = Tally()
    assert read(file, tally=tally)[:2] == [1, 2]
    assert (tally.unreadable, why(tally)[-1][1]) == (1, "it ends in the middle of its compression")


@pytest.mark.parametrize("packed", [gzip.compress, zstd], ids=["gzip", "zstd"])
def test_what_comes_before_damage_is_used(tmp_path, packed):
    file = tmp_path / "a.jsonl"
    file.write_bytes(packed(text(1, 2)) + b"\xff" * 40)
    tally = Tally()
    assert read(file, tally=tally) == [1, 2]
    assert why(tally) == [(3, "its compression is damaged from here on")]


def test_a_plain_file_that_is_torn_loses_its_last_line(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_bytes(text(1, 2)[:-20])
    tally = Tally()
    assert read(file, tally=tally) == [1]
    assert [line for line, _ in why(tally)] == [2]


def test_blank_lines_marks_and_foreign_newlines_are_no_mistakes(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_bytes(
        b"\xef\xbb\xbf" + text(1).replace(b"\n", b"\r\n") + b"\n \t\n" + text(2).strip()
    )
    tally = Tally()
    assert (read(file, tally=tally), tally.unreadable) == ([1, 2], 0)


def test_an_unreadable_line_is_told_with_its_number_and_left_out(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_bytes(text(1) + b"\n{}\n" + text(2) + b"nonsense\n")
    tally = Tally()
    assert read(file, tally=tally) == [1, 2]
    assert tally.unreadable == 2
    assert [line for line, _ in why(tally)] == [3, 5]
    assert str(tally.complaints[0]).startswith(f"{file}:3: t: is missing")


def test_a_hundred_complaints_are_kept_and_all_are_counted(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"{}\n" * 250)
    tally = Tally()
    assert read(file, tally=tally) == []
    assert (tally.unreadable, len(tally.complaints)) == (250, 100)


def test_a_line_that_is_too_long_is_passed_over_without_being_kept(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"one\n" + b"x" * 900_000 + b"\nthree")
    assert [(line.number, line.text) for line in lines(file, 1000)] == [
        (1, b"one"),
        (2, None),
        (3, b"three"),
    ]


def test_files_are_merged_in_the_order_of_time(tmp_path):
    for name, data in (
        ("b.jsonl", text(1, 4)),
        ("a.jsonl.gz", gzip.compress(text(2, 3))),
        ("c.jsonl.zst", zstd(text(0, 5))),
        (".d.jsonl", text(9)),
        ("notes.md", b"x"),
    ):
        (tmp_path / name).write_bytes(data)
    assert read(tmp_path) == [0, 1, 2, 3, 4, 5]
    assert read(tmp_path / "b.jsonl", tmp_path) == [0, 1, 2, 3, 4, 5]  # each file once


def test_a_request_counts_when_it_was_charged(tmp_path):
    file = tmp_path / "a.jsonl"
    late = at(1, charged_at=T + 5 * S)
    file.write_bytes(line_of(late) + line_of(at(2)))
    assert read(file) == [2, 1]


def test_equal_moments_come_in_one_order_however_files_are_arranged(tmp_path):
    moments = [at(1, account, id=id_) for account in "ab" for id_ in ("x", "y")]
    seen = set()
    for number, order in enumerate(itertools.permutations(moments)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "1.jsonl").write_bytes(b"".join(map(line_of, order[: number % 4])))
        (folder / "2.jsonl").write_bytes(b"".join(map(line_of, order[number % 4 :])))
        seen.add(tuple(entry.account + entry.id for entry in entries([folder], Tally())))
    assert seen == {("ax", "ay", "bx", "by")}


def test_a_file_may_be_ten_minutes_out_of_order_and_no_more(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_bytes(text(1000, 400, 700, 399.999_999, 1001))
    tally = Tally()
    assert read(file, tally=tally) == [400, 700, 1000, 1001]
    assert tally.late == 1
    ((line, told),) = why(tally)
    assert line == 4
    assert "weir traffic sort" in told


def test_what_is_late_does_not_depend_on_other_files(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(text(1000, 399, 1001))
    (tmp_path / "b.jsonl").write_bytes(text(1, 2, 390, 395))
    tally = Tally()
    assert read(tmp_path, tally=tally) == [1, 2, 390, 395, 1000, 1001]
    assert tally.late == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 599), max_size=8), min_size=1, max_size=3))
def test_within_ten_minutes_any_order_reads_sorted(tmp_path_factory, seconds):
    folder = tmp_path_factory.mktemp("any")
    for number, inside in enumerate(seconds):
        (folder / f"{number}.jsonl").write_bytes(text(*inside))
    tally = Tally()
    assert read(folder, tally=tally) == sorted(itertools.chain(*seconds))
    assert tally.late == 0


def test_a_file_holds_back_no_more_bytes_than_it_may(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "BUFFER", 3 * len(text(1)))
    file = tmp_path / "a.jsonl"
    file.write_bytes(text(10, 11, 12, 13, 14, 10.5, 9))
    tally = Tally()
    assert read(file, tally=tally) == [10, 11, 12, 13, 14]
    assert tally.late == 2


def test_progress_is_all_bytes_of_all_files(tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(text(*range(500))))
    (tmp_path / "b.jsonl").write_bytes(text(*range(5000)))
    told = []
    assert sum(1 for _ in entries([tmp_path], Tally(), told.append)) == 5500
    assert sum(told) == size([tmp_path])
    assert size([tmp_path]) == sum(each.stat().st_size for each in tmp_path.iterdir())


def test_a_month_of_files_is_not_open_all_at_once(tmp_path, monkeypatch):
    opened = []
    real = reading._Streams.ordered

    def ordered(self, path, tally, progress):
        opened.append(path.name)
        return real(self, path, tally, progress)

    monkeypatch.setattr(reading._Streams, "ordered", ordered)
    for day in range(5):
        (tmp_path / f"{day}.jsonl").write_bytes(text(day * 86_400, day * 86_400 + 1))
    stream = entries([tmp_path], Tally())
    next(stream)
    assert opened == ["0.jsonl"]
    assert len(list(stream)) == 9


def test_a_dash_is_standard_input(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=BytesIO(gzip.compress(text(1, 2)))))
    assert read(*map(type(tmp_path), ["-"])) == [1, 2]


def test_a_directory_without_traffic_is_a_mistake(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"")
    with pytest.raises(TrafficError, match="holds no traffic"):
        read(tmp_path)


def test_a_file_that_is_not_there_is_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.jsonl")


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([bytes, gzip.compress, zstd]), st.data())
def test_whatever_a_file_holds_lines_come_out_or_a_complaint(tmp_path_factory, packed, data):
    raw = bytearray(packed(text(1, 2, 3)))
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.mktemp("any") / "a.jsonl"
    file.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    tally = Tally()
    found = read(file, tally=tally)
    assert len(found) <= 3
    assert orjson.dumps([str(each) for each in tally.complaints])


def test_a_line_that_is_larger_than_all_that_may_be_held_back_is_read_like_the_others(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(reading, "BUFFER", 10)
    file = tmp_path / "a.jsonl"
    file.write_bytes(text(1, 2, 3))
    assert read(file) == [1, 2, 3]


def test_a_long_line_that_comes_in_many_pieces_is_put_together_once(tmp_path):
    """Putting it together at each piece copies 60 GB here, and takes minutes."""
    file = tmp_path / "a.jsonl.gz"
    noise = random.Random(1).randbytes(8_000_000).hex().encode()
    file.write_bytes(gzip.compress(noise + b"\n" + noise[:5] + b"\n", 1))
    assert [(each.number, len(each.text)) for each in lines(file, 64_000_000)] == [
        (1, 16_000_000),
        (2, 5),
    ]


def test_a_bomb_of_blank_lines_is_passed_over_at_once_and_lines_keep_their_numbers(tmp_path):
    file = tmp_path / "a.jsonl.gz"
    file.write_bytes(gzip.compress(b"x\n" + b"\n" * 50_000_000 + b" y\n", 1))
    assert [(each.number, each.text.strip()) for each in lines(file, 100)] == [
        (1, b"x"),
        (50_000_002, b"y"),
    ]


@pytest.mark.parametrize("packed", [bytes, gzip.compress, zstd], ids=["plain", "gzip", "zstd"])
def test_a_pipe_that_gives_a_byte_at_a_time_is_known_all_the_same(monkeypatch, packed):
    data = BytesIO(packed(b"\xef\xbb\xbf" + text(1, 2)))
    pipe = SimpleNamespace(buffer=SimpleNamespace(read1=lambda _: data.read(1)))
    monkeypatch.setattr(sys, "stdin", pipe)
    assert read(Path("-")) == [1, 2]


def test_a_file_that_goes_while_others_are_read_is_told_and_the_rest_is_read(tmp_path):
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    first.write_bytes(text(1, 2))
    second.write_bytes(text(90_000))
    tally = Tally()
    stream = entries([first, second], tally)
    assert (next(stream).t - T) / S == 1
    second.unlink()
    assert [(entry.t - T) / S for entry in stream] == [2]
    assert (tally.unreadable, why(tally)) == (1, [(1, "cannot be read: No such file or directory")])


def test_too_many_files_at_once_are_an_error_and_never_left_out(tmp_path, monkeypatch):
    file = tmp_path / "a.jsonl"
    file.write_bytes(text(1))

    def full(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(TrafficError, match="weir traffic sort"):
        read(file)


def test_without_a_standard_input_there_is_a_sentence(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(TrafficError, match="there is no standard input"):
        read(Path("-"))

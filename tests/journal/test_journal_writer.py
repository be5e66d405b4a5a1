"""The journal under rotation, full disks, torn lines, a full queue and many threads."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from datetime import UTC, datetime

import orjson
import pytest
from structlog.testing import capture_logs

from proxy.journal import reader
from proxy.journal.queue import LineQueue, Outcome
from proxy.journal.writer import FileJournal, StdoutJournal

NOON = 1_795_435_200.0
DAY = 86_400.0


def until(true, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


def record(number, **more):
    return {"v": 1, "id": f"wd_{number}", **more}


def flushed(journal, count):
    until(lambda: journal.written + journal.dropped == count)


def ids(directory):
    return [each["id"] for each in reader.records(directory)]


def ids_in(path):
    return [orjson.loads(line)["id"] for line in path.read_bytes().splitlines()]


class Clock:
    def __init__(self, now=NOON):
        self.now = now

    def __call__(self):
        return self.now


def test_records_are_read_back_in_order_and_nobody_else_may_read_them(tmp_path):
    directory = tmp_path / "deep" / "journal"
    journal = FileJournal(directory, 3)
    for number in range(1000):
        journal.write(record(number))
    journal.close()
    assert ids(directory) == [f"wd_{number}" for number in range(1000)]
    assert (journal.written, journal.dropped) == (1000, 0)
    assert journal.path.name == "decisions-3.jsonl"
    assert (journal.path.stat().st_mode & 0o777, directory.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_record_is_on_disk_soon_without_closing(tmp_path):
    journal = FileJournal(tmp_path, 0)
    journal.write(record(1))
    until(lambda: ids(tmp_path) == ["wd_1"])
    journal.close()


def test_a_file_is_turned_before_it_grows_too_large_and_the_oldest_go_first(tmp_path):
    clock = Clock()
    journal = FileJournal(tmp_path, 0, rotate_bytes=1000, keep_bytes=3000, clock=clock)
    for number in range(10):
        journal.write(record(number, pad="x" * 700))
        flushed(journal, number + 1)
        clock.now += 1
    journal.close()
    files = list(tmp_path.iterdir())
    assert all(path.stat().st_size <= 1000 for path in files)
    # Four turned files of some 740 bytes are within the 3000; the one being written comes on top.
    assert sorted(ids(tmp_path)) == [f"wd_{number}" for number in range(5, 10)]


def test_the_size_kept_is_that_of_all_slots_together(tmp_path):
    clock = Clock()
    gone = tmp_path / "decisions-7-20200101T000000000000Z.jsonl"
    gone.write_bytes(orjson.dumps(record("old", pad="x" * 700)) + b"\n")
    packed = tmp_path / "decisions-10-20200101T000000000001Z.jsonl.gz"
    packed.write_bytes(b"x" * 700)
    other = tmp_path / "notes.txt"
    other.write_bytes(b"x" * 5000)
    journal = FileJournal(tmp_path, 0, rotate_bytes=1000, keep_bytes=1500, clock=clock)
    for number in range(2):
        journal.write(record(number, pad="x" * 700))
        flushed(journal, number + 1)
    journal.close()
    assert not gone.exists()
    assert packed.exists()
    assert other.exists()
    assert ids(tmp_path) == ["wd_0", "wd_1"]


def test_turning_twice_in_one_microsecond_loses_nothing(tmp_path):
    journal = FileJournal(tmp_path, 0, rotate_bytes=10, clock=Clock())
    for number in range(5):
        journal.write(record(number))
        flushed(journal, number + 1)
    journal.close()
    assert sorted(ids(tmp_path)) == [f"wd_{number}" for number in range(5)]
    assert len(list(tmp_path.iterdir())) == 5


def test_a_new_day_begins_a_new_file(tmp_path):
    clock = Clock()
    journal = FileJournal(tmp_path, 0, clock=clock)
    for number, now in enumerate((NOON, NOON + DAY / 2 - 1, NOON + DAY / 2)):
        clock.now = now
        journal.write(record(number))
        flushed(journal, number + 1)
    journal.close()
    (turned,) = tmp_path.glob("decisions-0-*.jsonl")
    assert ids_in(turned) == ["wd_0", "wd_1"]
    assert ids_in(journal.path) == ["wd_2"]


def test_a_file_left_from_yesterday_is_turned_at_the_first_record_of_today(tmp_path):
    left = tmp_path / "decisions-0.jsonl"
    left.write_bytes(orjson.dumps(record("yesterday")) + b"\n")
    os.utime(left, (NOON - DAY, NOON - DAY))
    journal = FileJournal(tmp_path, 0, clock=Clock())
    journal.write(record("today"))
    journal.close()
    assert ids_in(left) == ["wd_today"]
    assert sorted(ids(tmp_path)) == ["wd_today", "wd_yesterday"]


def test_a_line_that_a_crash_tore_does_not_spoil_the_next(tmp_path):
    (tmp_path / "decisions-0.jsonl").write_bytes(b'{"id":"wd_0","v":1}\n{"id":"wd_torn","a')
    journal = FileJournal(tmp_path, 0)
    journal.write(record(1))
    journal.close()
    tally = reader.Tally()
    assert [each["id"] for each in reader.records(tmp_path, tally)] == ["wd_0", "wd_1"]
    assert (tally.lines, tally.files) == (1, 0)


def test_a_file_that_somebody_moved_or_removed_is_begun_anew(tmp_path):
    journal = FileJournal(tmp_path / "journal", 0)
    for number, harm in enumerate(("move", "remove", "none")):
        journal.write(record(number))
        flushed(journal, number + 1)
        if harm == "move":
            journal.path.rename(journal.path.with_name("decisions-0-old.jsonl"))
        if harm == "remove":
            journal.path.unlink()
    journal.close()
    assert sorted(ids(tmp_path / "journal")) == ["wd_0", "wd_2"]
    assert (journal.written, journal.dropped) == (3, 0)


def test_a_full_disk_drops_and_counts_warns_of_each_lost_line_and_is_got_over(tmp_path):
    journal = FileJournal(tmp_path, 0)
    journal.path.symlink_to("/dev/full")
    with capture_logs() as told:
        for number in range(20):
            journal.write(record(number))
            if number % 5 == 4:
                flushed(journal, number + 1)
        until(lambda: told)
        assert (journal.written, journal.dropped) == (0, 20)
        journal.path.unlink()
        journal.write(record(20))
        flushed(journal, 21)
        journal.close()
    assert ids(tmp_path) == ["wd_20"]
    # At once, and what was lost since then in the end: the log counts as the metric does.
    assert {each["event"] for each in told} == {"journal.dropped"}
    assert (len(told) <= 2, sum(each["records"] for each in told)) == (True, 20)
    assert told[0]["why"] == "No space left on device"


def test_a_file_that_others_could_read_is_the_owners_alone_again(tmp_path):
    (tmp_path / "decisions-0.jsonl").touch(mode=0o644)
    journal = FileJournal(tmp_path, 0)
    journal.write(record(0))
    journal.close()
    assert journal.path.stat().st_mode & 0o777 == 0o600


def test_a_directory_that_cannot_be_had_drops_and_counts_and_is_got_over(tmp_path):
    (tmp_path / "journal").write_text("a file is in the way")
    journal = FileJournal(tmp_path / "journal", 0)
    journal.write(record(0))
    flushed(journal, 1)
    assert journal.dropped == 1
    (tmp_path / "journal").unlink()
    journal.write(record(1))
    journal.close()
    assert ids(tmp_path / "journal") == ["wd_1"]


def test_a_disk_that_fills_in_the_middle_of_a_batch_keeps_whole_lines_and_counts_them(tmp_path):
    story = """
        import resource, signal, sys
        from pathlib import Path
        from proxy.journal.writer import FileJournal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        journal = FileJournal(Path(sys.argv[1]), 0)
        for number in range(100):
            journal.write({"v": 1, "id": f"wd_{number}", "pad": "x" * 700})
        journal.close()
        print(journal.written, journal.dropped)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(story), str(tmp_path)],
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    written, dropped = (int(each) for each in done.stdout.split()[-2:])
    tally = reader.Tally()
    kept = [each["id"] for each in reader.records(tmp_path, tally)]
    assert written + dropped == 100
    assert kept == [f"wd_{number}" for number in range(written)]
    assert (written > 5, dropped > 5, tally.lines) == (True, True, 0)


def test_a_queue_that_is_full_drops_exactly_what_does_not_fit_and_never_waits():
    gate, seen = threading.Event(), []

    def sink(data):
        seen.append(data)
        gate.wait(10)
        return Outcome(data.count(b"\n"))

    queue = LineQueue(sink, 100)
    queue.put(b"x" * 9 + b"\n")
    until(lambda: seen)
    began = time.monotonic()
    for _ in range(50):
        queue.put(b"y" * 9 + b"\n")
    assert time.monotonic() - began < 0.5
    assert queue.dropped == 41  # the ten bytes being written count as well
    gate.set()
    assert queue.close(5)
    assert (queue.written, queue.dropped) == (10, 41)
    queue.put(b"late\n")
    assert (queue.written, queue.dropped) == (10, 42)


def test_what_was_written_makes_room_for_more():
    queue = LineQueue(lambda data: Outcome(data.count(b"\n")), 10)
    for number in range(1, 4):
        queue.put(b"x" * 9 + b"\n")
        flushed(queue, number)
    assert queue.close(5)
    assert (queue.written, queue.dropped) == (3, 0)


def test_closing_on_a_stuck_disk_gives_up_in_time_and_counts_what_is_lost():
    gate, seen = threading.Event(), []

    def sink(data):
        seen.append(data)
        gate.wait(10)
        return Outcome(1)

    queue = LineQueue(sink, 100)
    queue.put(b"one\n")
    until(lambda: seen)
    queue.put(b"two\n")
    began = time.monotonic()
    assert not queue.close(0.1)
    assert time.monotonic() - began < 2
    assert queue.dropped == 1
    gate.set()
    until(lambda: queue.written == 1)


def test_many_threads_lose_nothing_and_tear_nothing(tmp_path):
    journal = FileJournal(tmp_path, 0, rotate_bytes=50_000)

    def write(worker):
        for number in range(500):
            journal.write(record(f"{worker}_{number}"))

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    assert (journal.written, journal.dropped) == (4000, 0)
    assert Counter(ids(tmp_path)) == {f"wd_{w}_{n}": 1 for w in range(8) for n in range(500)}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("\ud800lone", r"\ud800lone"),
        (2**70, sys.maxsize),
        ([{"a": (1, None, "\udfff")}], [{"a": [1, None, r"\udfff"]}]),
        (object(), "object"),
    ],
)
def test_what_json_cannot_carry_is_no_reason_to_lose_a_record(tmp_path, value, told):
    journal = FileJournal(tmp_path, 0)
    journal.write(record(1, model=value))
    journal.close()
    (found,) = reader.records(tmp_path)
    assert (found["id"], found["model"]) == ("wd_1", told)


def test_a_pipe_that_does_not_block_gets_every_record_in_its_readers_time():
    read, write = os.pipe()
    os.set_blocking(write, False)
    journal = StdoutJournal(file=write)
    for number in range(2000):
        journal.write(record(number, pad="x" * 200))
    got = b""
    with os.fdopen(read, "rb", buffering=0) as pipe:
        while got.count(b"\n") < 2000:
            got += pipe.read(65536)
    journal.close()
    os.close(write)
    assert [orjson.loads(line)["id"] for line in got.splitlines()] == [
        f"wd_{number}" for number in range(2000)
    ]
    assert (journal.written, journal.dropped) == (2000, 0)


def test_workers_that_share_a_pipe_do_not_cut_each_others_lines():
    read, write = os.pipe()
    journals = [StdoutJournal(file=write) for _ in range(2)]
    got = bytearray()

    def collect():
        with os.fdopen(read, "rb", buffering=0) as pipe:
            while piece := pipe.read(65536):
                got.extend(piece)

    for number in range(500):
        for name, journal in enumerate(journals):
            journal.write(record(f"{name}_{number}", pad="x" * 3000))
    until(lambda: not select.select([], [write], [], 0)[1])  # both wait for room in the pipe
    collector = threading.Thread(target=collect)
    collector.start()
    for journal in journals:
        journal.close()
    os.close(write)
    collector.join()
    found = [orjson.loads(line)["id"] for line in got.splitlines()]
    assert Counter(found) == {f"wd_{j}_{n}": 1 for j in range(2) for n in range(500)}


def test_a_reader_that_went_away_costs_records_and_nothing_else():
    read, write = os.pipe()
    os.close(read)
    journal = StdoutJournal(file=write)
    journal.write(record(1))
    flushed(journal, 1)
    assert (journal.written, journal.dropped) == (0, 1)
    journal.close()
    os.close(write)


def test_a_turned_file_says_when_it_was_turned(tmp_path):
    journal = FileJournal(tmp_path, 0, rotate_bytes=10, clock=Clock(NOON + 0.25))
    for number in range(2):
        journal.write(record(number))
        flushed(journal, number + 1)
    journal.close()
    moment = datetime.fromtimestamp(NOON, UTC)
    (turned,) = tmp_path.glob("decisions-0-*.jsonl")
    assert turned.name == f"decisions-0-{moment:%Y%m%dT%H%M%S}250000Z.jsonl"


def test_a_line_that_a_stuck_reader_cut_is_ended_before_the_next(monkeypatch):
    monkeypatch.setattr("proxy.journal.queue.STUCK_MILLISECONDS", 50)
    read, write = os.pipe()
    os.set_blocking(write, False)
    journal = StdoutJournal(file=write)
    journal.write(record("cut", pad="x" * 1_000_000))
    flushed(journal, 1)
    with os.fdopen(read, "rb", buffering=0) as pipe:
        cut = pipe.read(1_000_000)
        journal.write(record("next"))
        flushed(journal, 2)
        journal.close()
        os.close(write)
        assert pipe.read(1_000_000) == b"\n" + orjson.dumps(record("next")) + b"\n"
    assert cut.startswith(b'{"v":1,"id":"wd_cut"')
    assert (journal.written, journal.dropped) == (1, 1)

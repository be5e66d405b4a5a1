"""Writing: whole lines, in place at once or not at all."""

import gzip
import signal
import stat
import subprocess
import sys

import pytest
import zstandard

from proxy.core.errors import TrafficError
from proxy.traffic.entry import Entry
from proxy.traffic.parsing import line_of
from proxy.traffic.reading import Tally, entries
from proxy.traffic.writing import open_traffic

T = 1_763_900_000_000_000
ENTRIES = [Entry(T + number, "a", "a", "a", body={"number": number}) for number in range(20_000)]
LINES = b"".join(map(line_of, ENTRIES))
READERS = {
    "a.jsonl": bytes,
    "a.jsonl.gz": gzip.decompress,
    "a.jsonl.zst": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}


@pytest.mark.parametrize("name", READERS)
def test_the_suffix_says_how_it_is_packed_and_other_tools_read_it(tmp_path, name):
    with open_traffic(tmp_path / name) as writer:
        for entry in ENTRIES:
            writer.write(entry)
        assert writer.written == len(ENTRIES)
    assert READERS[name]((tmp_path / name).read_bytes()) == LINES
    assert list(entries([tmp_path / name], Tally())) == ENTRIES


@pytest.mark.parametrize("name", READERS)
def test_the_same_entries_give_the_same_bytes(tmp_path, name):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        with open_traffic(tmp_path / folder / name) as writer:
            for entry in ENTRIES[:100]:
                writer.write(entry)
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_file_appears_when_it_is_whole_for_its_owner_alone(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"before")
    with open_traffic(file) as writer:
        for entry in ENTRIES:
            writer.write(entry)
        assert file.read_bytes() == b"before"
    assert file.read_bytes() == LINES
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["a.jsonl"]


def test_an_error_leaves_nothing_behind(tmp_path):
    def story():
        with open_traffic(tmp_path / "a.jsonl") as writer:
            writer.write(ENTRIES[0])
            writer.write(Entry(T, "a", "a", "a", body={"x": b"no JSON"}))

    with pytest.raises(TrafficError):
        story()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", READERS)
def test_what_an_interrupt_leaves_is_whole_lines_under_another_name(tmp_path, name):
    def story():
        with open_traffic(tmp_path / name) as writer:
            for entry in ENTRIES[:15_000]:
                writer.write(entry)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        story()
    (left,) = tmp_path.iterdir()
    assert left.name == f"{name}.partial"
    assert list(entries([left], Tally())) == ENTRIES[:15_000]


def test_an_interrupt_before_the_first_line_leaves_nothing(tmp_path):
    def story():
        with open_traffic(tmp_path / "a.jsonl"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        story()
    assert list(tmp_path.iterdir()) == []


def test_a_real_interrupt_at_any_moment_leaves_whole_lines(tmp_path):
    story = (
        "import sys\n"
        "from pathlib import Path\n"
        "from proxy.traffic.entry import Entry\n"
        "from proxy.traffic.writing import open_traffic\n"
        "with open_traffic(Path(sys.argv[1])) as writer:\n"
        "    number = 0\n"
        "    while True:\n"
        f"        writer.write(Entry({T} + number, 'a', 'a', 'a', body={{'text': 'word ' * 200}}))\n"
        "        number += 1\n"
        "        if number == 1000: print('begun', flush=True)\n"
    )
    file = tmp_path / "a.jsonl.gz"
    with subprocess.Popen(
        [sys.executable, "-c", story, str(file)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as writing:
        assert writing.stdout.readline() == b"begun\n"
        writing.send_signal(signal.SIGINT)
        assert writing.wait(30) != 0
    (left,) = tmp_path.iterdir()
    tally = Tally()
    moments = [entry.t - T for entry in entries([left], tally)]
    assert left.name == "a.jsonl.gz.partial"
    assert moments == list(range(len(moments)))
    assert (tally.unreadable, len(moments) >= 1000) == (0, True)


def test_without_a_path_it_is_standard_output(capfdbinary):
    with open_traffic(None) as writer:
        writer.write(ENTRIES[0])
    assert capfdbinary.readouterr().out == line_of(ENTRIES[0])

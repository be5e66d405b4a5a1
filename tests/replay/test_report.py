"""The page of a replay: what it says, that it is safe to open, and that it needs nothing else."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from proxy.core.facts import Usage
from proxy.policy.loader import load
from proxy.replay.difference import Difference, Pairing
from proxy.replay.player import Player
from proxy.replay.report import Against, Report, Rules, Table, page
from proxy.replay.report.charts import chart
from proxy.replay.report.words import SPACE
from proxy.replay.summary import EFFECTS, Story, Summary
from proxy.replay.timeline import Timeline
from proxy.traffic.entry import Answer, Entry
from proxy.traffic.reading import Tally

START = 1_795_435_200_000_000  # 2026-11-23 12:00:00 UTC
SECOND = 1_000_000
HOSTILE = (
    "<script>alert(1)</script>\"'><img src=http://evil.example/x onerror=alert(2)>\x00\u202e&amp;"
)
VOID = {"meta", "br", "img", "link", "hr", "input"}
POLICY = """\
policy: free
when: {plan: free}
capabilities:
  - {forbid: [logit_bias+logprobs]}
shapes:
  one: {clamp: {n: 1, output_tokens: 300}}
limits:
  - {limit: requests, allow: MANY requests, per: 1m, by: [key]}
  - {limit: watched, allow: 1_000 output_tokens, per: day, by: [account], mode: shadow}
  - {limit: prompts, allow: 2 distinct prompts, per: 24h, otherwise: {shape: one}}
  - {limit: never, allow: 1 usd, per: day, by: [org]}
"""
OTHERS = """\
policy: paid
when: {plan: paid}
limits:
  - {limit: streams, allow: 9 concurrent, by: [account]}
"""
MODELS = "models:\n  - {model: '*', prices: {input: 1.00, output: 10.00}, counter: words}\n"


@pytest.fixture
def rules(tmp_path):
    """Make a directory of policies that allows so many requests a minute."""

    def rules(many: int = 4):
        directory = tmp_path / str(many)
        directory.mkdir(exist_ok=True)
        (directory / "free.yaml").write_text(POLICY.replace("MANY", str(many)))
        (directory / "paid.yaml").write_text(OTHERS)
        (directory / "models.yaml").write_text(MODELS)
        return load(directory)

    return rules


def asked(at: int, account: str = "ada", prompt: str = "hello", **more) -> Entry:
    """One request, `at` seconds after the start, that 100 output tokens answered."""
    body = {"model": "m-1", "messages": [{"role": "user", "content": prompt}], "max_tokens": 400}
    answer = Answer(usage=Usage(10, 100, relayed=100), lasted=SECOND)
    entry = Entry(START + at * SECOND, account, account, "acme", "free", "203.0.113.9", body=body)
    return replace(entry, **{"answer": answer, **more})


# Of one minute: four fit, the next two are refused; then three prompts, the third is shaped.
STORY = [
    *(asked(0) for _ in range(6)),
    asked(120, prompt="a second"),
    asked(180, prompt="a third"),
    asked(200, "bob", answer=None),
    asked(210, "bob", body={"model": "m-1", "messages": 3}),
]


def played(loaded, entries=STORY) -> Summary:
    """What becomes of some traffic."""
    summary = Summary()
    Player(loaded, [summary]).play(entries)
    return summary


def report(loaded, entries=STORY, **more) -> Report:
    """A report of some traffic."""
    return Report(played(loaded, entries), Rules("policies", loaded.policies), ("a.jsonl",), **more)


def compared(before, after, entries=STORY) -> Report:
    """A report of two policy sets over the same traffic."""
    summaries, pairs, difference = (Summary(), Summary()), (Pairing(), Pairing()), Difference()
    players = [
        Player(loaded, [summary, pair])
        for loaded, summary, pair in zip((before, after), summaries, pairs, strict=True)
    ]
    for entry in entries:
        for player in players:
            player.feed(entry)
        difference.compare(pairs[0].last, pairs[1].last)
    for player in players:
        player.finish()
    against = Against(Rules("main", before.policies), summaries[0], difference)
    return Report(summaries[1], Rules("edited", after.policies), against=against)


class Read(HTMLParser):
    """What a page holds: its elements with their attributes, and its text by section."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.told: dict[str, str] = {}
        self.section = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "section":
            self.section = dict(attrs)["id"]

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in {"style", "script"}:
            text = " ".join(data.replace(SPACE, " ").split())
            self.text.append(text)
            if self.section and text:
                self.told[self.section] = f"{self.told.get(self.section, '')} {text}"


def row(html: str, name: str, nth: int = 0) -> list[str]:
    """The cells of the nth row of the page that is about something."""
    found = []
    for body in re.findall(r"<tr role=\"row\">(.*?)</tr>", html, re.DOTALL):
        cells = re.findall(r"<t[hd].*?</t[hd]>", body, re.DOTALL)
        cells = [re.sub(r"<(title|desc)>.*?</\1>", "", each, flags=re.DOTALL) for each in cells]
        texts = [" ".join(re.sub(r"<[^>]*>", " ", each).split()) for each in cells]
        if texts and texts[0].split(" ")[0] == name:
            found.append(texts)
    return found[nth]


def test_the_headline_says_what_came_of_it(rules):
    assert (
        "Of 10 requests 20.0 % would have been refused and 10.0 % shaped; 1 of 2 accounts felt it."
        in Read(page(report(rules()))).text
    )


def test_the_headline_says_that_nothing_came_of_it(rules):
    assert (
        "Of 2 requests by 1 account none would have been refused, shaped or delayed."
        in Read(page(report(rules(), STORY[:2]))).text
    )


def test_what_was_replayed_and_how_exact_that_is_can_be_read(rules):
    tally = Tally(read=10, unreadable=2, late=1)
    tally.complain(Path("a.jsonl"), 7, "t: must be a number")
    told = Read(page(report(rules(), tally=tally))).told["replayed"]
    for part in (
        "a.jsonl",
        "2026-11-23 12:00:00 to 2026-11-23 12:03:30 UTC (3 minutes 30 seconds)",
        f"policies: 2 policies, 5 limits, digest {rules().policies.digest}",
        "2 lines that could not be read and 1 line too far out of order.",
        "1 request (10.0 %) has an answer that nobody has seen",
        "a.jsonl:7 t: must be a number",
    ):
        assert part in told


def test_a_limit_is_told_by_its_sentence_and_its_numbers(rules):
    html = page(report(rules()))
    assert row(html, "free/requests") == [
        "free/requests 4 requests per 1m by key, otherwise refuse", "9", "2 22.2 %", "2 refused",
        "1", "2026-11-23 12:00:00", "under 5 %: 3 (33.3 %) under 25 %: 3 (33.3 %)",
    ]  # fmt: skip
    assert row(html, "free/prompts")[1:4] == ["9", "1 11.1 %", "1 shaped"]
    assert "otherwise shape" in row(html, "free/prompts")[0]
    assert "shadow: only watched, it decides nothing" in row(html, "free/watched")[0]


def test_a_limit_that_no_request_met_is_named(rules):
    assert "No request met 1 limit: paid/streams." in Read(page(report(rules()))).told["limits"]


def test_every_count_of_the_headroom_is_in_a_table(rules):
    summary = played(rules())
    cells = row(page(report(rules())), "free/requests", 1)
    assert cells[1:] == [str(each) for each in summary.limits["free", "requests"].headroom]


@pytest.mark.parametrize("name", ["free", "m-1", "ada"])
def test_a_group_is_told_by_all_its_numbers(rules, name):
    summary = played(rules())
    story = {**summary.plans, **summary.models, **summary.accounts}[name]
    cells = row(page(report(rules())), name)
    told = [each.split(" ")[0] for each in cells[1:]]
    assert told[0] == str(story.requests)
    assert told[1:4] == [str(story.effects[index]) for index in (3, 1, 2)]
    assert told[4] == str(story.full)
    assert {f"{story.output:,}", f"${story.cost / 1e6:.2f}"} <= {*told} or story.cost < 10_000
    assert f"{story.output:,}" in told


def test_an_account_is_told_with_the_limits_that_it_met(rules):
    # the shadow limit, too
    met = row(page(report(rules())), "ada")[-2]
    assert "free/requests ×2" in met
    assert "free/prompts ×1" in met


def test_reasons_changes_and_errors_are_counted(rules):
    html = page(report(rules()))
    assert row(html, "limit.exceeded")[1] == "2"
    assert row(html, "limit.shaped")[1] == "1"
    assert row(html, "request.malformed")[1] == "1"


def test_levels_are_told_with_their_accounts(rules):
    html = page(report(rules(), [*STORY, asked(300, "eve", level="guarded", level_by="ada")]))
    assert row(html, "guarded") == ["guarded", "1 9.1 %", "1 33.3 %"]


def test_decisions_over_time_add_up_in_numbers(rules):
    html = page(report(rules()))
    slots = [row(html, "2026-11-23", index) for index in range(3)]
    assert slots[0] == ["2026-11-23 12:00:00", "4", "0", "2", "0"]
    assert slots[-1] == ["2026-11-23 12:03:00", "1", "1", "0", "1"]


def test_few_refusals_have_a_plot_of_their_own(rules):
    many = [asked(100 + each * 20, f"user-{each % 7}", "same") for each in range(500)]
    html = page(report(rules(), [*STORY, *many]))
    assert 'id="time-refuse-t"' in html
    assert "at most 2 in one bar, 2026-11-23 12:00:00." in Read(html).told["time"]
    assert 'id="time-delay-t"' not in html


@pytest.mark.parametrize(
    ("lasts", "labels"),
    [
        (60, "12:00 23 Nov, 12:10, 12:20, 12:30, 12:40, 12:50, 13:00"),
        (24 * 60, "12:00 23 Nov, 18:00, 00:00 24 Nov, 06:00, 12:00"),
        (40 * 24 * 60, "26 Nov 2026, 3 Dec, 10 Dec, 17 Dec, 24 Dec, 31 Dec"),
        (3 * 365 * 24 * 60, "22 Apr 2027, 21 Oct, 20 Apr 2028, 19 Oct, 19 Apr 2029, 18 Oct"),
    ],
)
def test_the_axis_has_few_round_moments_in_utc(lasts, labels):
    timeline = Timeline(len(EFFECTS))
    for minute in (0, lasts):
        timeline.count(START + minute * 60 * SECOND, 0)
    told = [f"{tick.label} {tick.below}".strip() for tick in chart(timeline).ticks]
    assert ", ".join(told) == labels


def test_the_difference_is_told_from_what_to_what(rules):
    html = page(compared(rules(5), rules(4)))
    read = Read(html)
    assert "Compared with the policies in main, 1 request (10.0 %) is newly refused." in read.text
    assert row(html, "was")[0:5] == ["was allowed", "6", "0", "0", "▲ 1"]
    assert row(html, "Refused") == ["Refused", "1", "2", "+1"]
    assert row(html, "free/requests", 2) == ["free/requests", "1", "0", "0", "0", "1"]
    assert row(html, "ada", 2) == ["ada", "1", "0", "0", "0", "1"]
    assert "limit.exceeded: free/requests, 0 of 4 requests left, 1 asked" in read.told["difference"]
    assert "No limit or rule spoke against it." in read.told["difference"]


def test_refusing_less_is_milder(rules):
    html = page(compared(rules(4), rules(5)))
    assert "nothing is newly refused; 1 request is decided otherwise." in " ".join(Read(html).text)
    assert "▼ 1" in html


def test_the_same_policies_change_nothing(rules):
    html = page(compared(rules(), rules()))
    assert "Compared with the policies in main, nothing is decided otherwise." in Read(html).text
    assert "▲ " not in html.replace("▲ is harder", "")


def test_bounds_are_told_kept_or_broken(rules):
    made = compared(rules(5), rules(4))
    bounds = ("--max-new-refusals 0.1%",)
    assert "--max-new-refusals 0.1%." in Read(page(replace(made, bounds=bounds))).text
    html = page(replace(made, bounds=bounds, broken=("1 of 10 requests <are> newly refused",)))
    assert "✗ Bound broken:" in html
    assert "1 of 10 requests <are> newly refused." in Read(html).text
    assert '<div class="broken"><dt>newly refused' in html


def test_an_interrupted_replay_says_so(rules):
    assert "Interrupted:" in Read(page(replace(report(rules()), interrupted=True))).text


def test_measured_tables_are_shown_as_they_are(rules):
    table = Table("Campaigns", ("Name", "Answers", "Share", "Days", "More"),
                  (("sticky <1>", 1200, 0.71234, None, "3,400"),), "How to read it.")  # fmt: skip
    html = page(replace(report(rules()), tables=(table,)))
    assert row(html, "sticky") == ["sticky &lt;1&gt;", "1,200", "0.7123", "–", "3,400"]
    assert "How to read it." in Read(html).told["labelled"]


@pytest.fixture
def hostile(rules):
    """A page in which everything that somebody else names is hostile."""
    entries = [
        replace(
            each, account=HOSTILE, key=HOSTILE, org=HOSTILE, id=HOSTILE,
            body={**each.body, "model": HOSTILE},
        )
        for each in STORY
    ]  # fmt: skip
    entries.append(replace(asked(300), plan=HOSTILE))
    tally = Tally(read=1, unreadable=1)
    tally.complain(Path(HOSTILE.replace("/", "")), 1, HOSTILE)
    made = compared(rules(5), rules(4), entries)
    table = Table(HOSTILE, (HOSTILE, "n"), ((HOSTILE, 1),), HOSTILE)
    return page(
        replace(
            made,
            tables=(table,),
            files=(HOSTILE,),
            tally=tally,
            bounds=(HOSTILE,),
            broken=(HOSTILE,),
        )
    )


def test_hostile_names_stay_text(hostile):
    read = Read(hostile)
    assert not read.open
    assert [tag for tag, _ in read.elements].count("script") == 1
    assert "img" not in {tag for tag, _ in read.elements}
    for _, attributes in read.elements:
        assert not any(name.startswith("on") for name in attributes)
        assert all(
            "evil" not in (attributes.get(name) or "") for name in ("href", "src", "id", "class")
        )
    assert "<script>alert(1)</script>" in " ".join(read.text)
    assert "\x00" not in hostile
    assert "\u202e" not in hostile


@pytest.mark.parametrize("kind", ["plain", "compared", "empty", "hostile"])
def test_the_page_is_whole_and_needs_nothing_else(rules, hostile, kind):
    html = {
        "plain": lambda: page(report(rules())),
        "compared": lambda: page(compared(rules(5), rules(4))),
        "empty": lambda: page(report(rules(), [])),
        "hostile": lambda: hostile,
    }[kind]()
    read = Read(html)
    assert not read.open
    if kind != "hostile":
        assert not re.search(r"https?://|url\(|@import|<link|<img", html)
    for _, attributes in read.elements:
        assert not {"src", "style", "action", "srcset", "xlink:href"} & {*attributes}
        assert (attributes.get("href") or "#").startswith("#")
    anchors = {attributes["id"] for _, attributes in read.elements if "id" in attributes}
    for _, attributes in read.elements:
        assert (attributes.get("href") or "#time")[1:] in anchors
        for name in (attributes.get("aria-labelledby") or "").split():
            assert name in anchors
    assert re.search(
        r"default-src 'none'; style-src 'sha256-[^' ]{44}'; script-src 'sha256-",
        html.replace("&#39;", "'"),
    )


@pytest.mark.parametrize("entries", [STORY, []])
def test_every_section_has_a_heading_and_says_something(rules, entries):
    read = Read(page(report(rules(), entries)))
    sections = [attributes for tag, attributes in read.elements if tag == "section"]
    headings = {attributes["id"] for tag, attributes in read.elements if tag == "h2"}
    assert len(sections) == 8
    assert {each["aria-labelledby"] for each in sections} == headings
    assert all(len(read.told[each["id"]].split()) > 5 for each in sections)


def test_plots_are_xml_with_a_title_and_a_description(hostile):
    plots = re.findall(r"<svg.*?</svg>", hostile, re.DOTALL)
    assert len(plots) > 10
    for each in plots:
        root = ET.fromstring(each)  # noqa: S314 - our own plots
        if root.get("aria-hidden") is None:
            assert root.find("title").text
            assert root.find("desc").text


def test_the_same_replay_gives_the_same_bytes(rules):
    assert page(compared(rules(5), rules(4))) == page(compared(rules(5), rules(4)))


def test_no_traffic_is_told_in_sentences(rules):
    read = Read(page(report(rules(), [])))
    assert "No traffic was replayed, so there is nothing to tell." in read.text
    assert "Nothing was decided, so there is nothing to plot." in read.text
    assert "No request met a limit." in read.text


def test_many_accounts_do_not_make_a_large_page(rules):
    made = report(rules())
    for each in range(25_000):
        story = Story(org="o" * 300, plan="free", limits={"free/requests": 3})
        story.effects[3], story.output = 3, each
        made.summary.accounts[f"{each:05}" + "x" * 5_000] = story
        made.summary.models[f"{each:05}" + "m" * 5_000] = story
    html = page(made)
    assert len(html.encode()) < 300_000
    assert "The first 25 of 25,001 accounts, by limited requests." in html

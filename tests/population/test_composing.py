"""A population as a whole: the same again, in order, readable, and silent about who is who."""

import hashlib
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import islice, pairwise
from pathlib import Path

import orjson
import pytest

from proxy.dialects.routes import route
from proxy.dialects.tokens import TokenRules
from proxy.population.compose import compose
from proxy.population.honest.archetypes import ARCHETYPES
from proxy.population.spec import load
from proxy.traffic.parsing import entry_of, line_of

SMALL = Path(__file__).parents[2] / "bench" / "populations" / "small.yaml"
PAIR = """\
honest:
  - {archetype: chat-product, accounts: COUNT, sources: [dialogues, questions]}
campaigns:
  - {campaign: c, technique: harvest, share: round-robin, accounts: 3, sources: coding,
     requests_per_day: 9}
"""


def digest(entries, most=4_000):
    hashed = hashlib.sha256()
    for entry in islice(entries, most):
        hashed.update(line_of(entry))
    return hashed.hexdigest()


def test_the_same_seed_makes_the_same_bytes():
    assert digest(compose(load(SMALL))) == digest(compose(load(SMALL)))


def test_another_seed_makes_others():
    spec = load(SMALL)
    assert digest(compose(spec, 1)) == digest(compose(spec)) != digest(compose(spec, 2))


def test_the_hash_seed_of_a_process_changes_nothing():
    program = (
        "import hashlib, sys; from itertools import islice; from pathlib import Path\n"
        "from proxy.population.compose import compose; from proxy.population.spec import load\n"
        "from proxy.traffic.parsing import line_of\n"
        "entries = islice(compose(load(Path(sys.argv[1]))), 4000)\n"
        "print(hashlib.sha256(b''.join(map(line_of, entries))).hexdigest())"
    )
    told = subprocess.run(
        [sys.executable, "-c", program, str(SMALL)],
        env=os.environ | {"PYTHONHASHSEED": "77"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert told.stdout.strip() == digest(compose(load(SMALL)))


def test_traffic_is_in_order_of_time_and_within_its_days(small):
    assert all(a.t <= b.t for a, b in pairwise(small))
    assert small[0].t >= 1780272000_000_000
    assert small[-1].t < (1780272000 + 7 * 86400) * 10**6
    assert {type(entry.t) for entry in small} == {int}


def test_times_are_not_rounded(small):
    for kind in ("benign", "extraction"):
        odd = [entry for entry in small if entry.label.kind == kind and entry.t % 1000]
        assert len(odd) > 0.99 * sum(entry.label.kind == kind for entry in small)


def test_one_account_more_leaves_the_others_as_they_were(population):
    def lines(count):
        found = defaultdict(list)
        for entry in compose(population(PAIR.replace("COUNT", str(count)))):
            found[entry.account].append(line_of(entry))
        return found

    five, six = lines(5), lines(6)
    assert len(six) == len(five) + 1
    assert all(six[account] == five[account] for account in five)


def test_every_archetype_and_every_campaign_of_the_small_one_sends_something(small):
    honest = {entry.label.archetype for entry in small if entry.label.kind == "benign"}
    assert honest == set(ARCHETYPES) - {"writer", "tutor"}  # who are in strange.yaml alone
    assert {each.campaign for each in load(SMALL).text.campaigns} == {
        entry.label.operator for entry in small if entry.label.kind == "extraction"
    }


def test_campaigns_are_the_smaller_part(small):
    sent = sum(entry.label.kind == "extraction" for entry in small)
    assert 0.1 < sent / len(small) < 0.25


def test_every_request_is_one_that_weir_reads(small):
    rules = TokenRules()
    for entry in small[::7]:
        found = route(entry.method, entry.path, {**entry.headers})
        (facts, *_) = found.dialect.read(orjson.dumps(entry.body), lambda _: rules, found.call)
        assert facts.model
        assert facts.prompt_tokens > 0


def test_every_line_reads_back_as_it_was(small):
    for entry in small[::97]:
        line = line_of(entry)
        assert line_of(entry_of(line)) == line


def test_ids_have_one_form_and_tell_nothing(small):
    form = re.compile(r"(key|acct|org)_[0-9a-f]{12}")
    words = [*ARCHETYPES, *(each.campaign for each in load(SMALL).text.campaigns)]
    for ids in {(entry.key, entry.account, entry.org) for entry in small}:
        assert all(form.fullmatch(each) for each in ids)
    cards = {entry.attributes["card"] for entry in small}
    assert all(re.fullmatch("card_[0-9a-f]{8}", card) for card in cards)
    told = {word for entry in small for word in (entry.ip, entry.plan, *entry.attributes.values())}
    assert not any(word in each for word in words for each in told)


def test_no_digit_of_an_id_leans_to_one_side(small):
    kinds = {entry.account: entry.label.kind for entry in small}
    for place in range(5, 17):
        counts = Counter((account[place] < "8", kind) for account, kind in kinds.items())
        for kind in ("benign", "extraction"):
            low, high = counts[True, kind], counts[False, kind]
            # Within five standard deviations of a half.
            assert abs(low - high) <= 5 * (low + high) ** 0.5


def test_an_honest_organisation_may_have_several_accounts_and_a_campaign_has_none_in_common(small):
    accounts = defaultdict(set)
    for entry in small:
        if entry.label.archetype != "migration":
            accounts[entry.label.kind, entry.org].add(entry.account)
    assert max(len(v) for (kind, _), v in accounts.items() if kind == "benign") > 1
    assert {len(v) for (kind, _), v in accounts.items() if kind == "extraction"} == {1}


def test_honest_accounts_differ_in_volume(small):
    sent = Counter(entry.account for entry in small if entry.label.archetype == "chat-product")
    assert max(sent.values()) > 10 * min(sent.values())


@pytest.mark.parametrize("kind", ["benign", "extraction"])
def test_both_sides_fail_and_are_left_alike(small, kind):
    ends = Counter(entry.answer.end for entry in small
                   if entry.label.kind == kind and entry.label.archetype != "retry-storm")  # fmt: skip
    assert 0.002 < ends["error"] / ends.total() < 0.02
    assert 0.0005 < ends["abandoned"] / ends.total() < 0.02


def test_an_answer_takes_the_time_that_its_tokens_take(small):
    for entry in small:
        answer = entry.answer
        if answer.end == "complete" and (answer.usage.reported_output or 0) > 300:
            assert answer.usage.reported_output / (answer.lasted / 1e6) < 160


def test_both_sides_use_all_doors(small):
    for kind in ("benign", "extraction"):
        paths = Counter(entry.path for entry in small if entry.label.kind == kind)
        assert {"/v1/chat/completions", "/v1/messages", "/v1/responses"} <= set(paths)

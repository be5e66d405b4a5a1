"""Each campaign does what its docstring says, and hides as its file says."""

from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from proxy.population.compose import compose

DAY = 86400 * 10**6
START = 1780272000_000_000


def turns(entry):
    return entry.body.get("messages") or entry.body.get("input") or []


def words(entry):
    content = turns(entry)[-1]["content"]
    return content if isinstance(content, str) else ""


def harvests(entries):
    return [entry for entry in entries if not entry.label.cover]


def sealed(entry):
    for turn in turns(entry):
        if "encrypted_content" in turn:
            yield turn["encrypted_content"]
        for block in turn.get("content") or []:
            if isinstance(block, dict) and "signature" in block:
                yield block["signature"]


def test_a_heavy_account_is_one(campaign):
    entries = campaign("technique: harvest, share: heavy, sources: coding, requests_per_day: 300")
    assert len({entry.account for entry in entries}) == 1
    assert 900 < len(entries) < 1500


def test_round_robin_gives_every_account_as_much(campaign):
    entries = campaign("technique: harvest, share: round-robin, accounts: 10, sources: coding,"
                       " requests_per_day: 25")  # fmt: skip
    sent = Counter(entry.account for entry in entries)
    assert len(sent) == 10
    assert max(sent.values()) - min(sent.values()) < 8


def test_a_round_of_a_set_gives_no_text_to_two_accounts(campaign):
    entries = campaign("technique: harvest, share: round-robin, accounts: 5, sources: [coding,"
                       " instructions, sums, questions, support], requests_per_day: 4")  # fmt: skip
    first = entries[:80]
    accounts = defaultdict(set)
    for entry in first:
        accounts[words(entry)].add(entry.account)
    once = sum(len(each) == 1 for each in accounts.values())
    assert once > 0.95 * len(accounts)  # but what failed and was asked of another


def test_the_least_recently_used_account_comes_next(campaign):
    entries = campaign("technique: harvest, share: least-recently-used, accounts: 8,"
                       " sources: coding, requests_per_day: 25")  # fmt: skip
    last, waits = {}, []
    for number, entry in enumerate(entries):
        if entry.account in last:
            waits.append(number - last[entry.account])
        last[entry.account] = number
    assert sum(5 <= wait <= 11 for wait in waits) > 0.9 * len(waits)


def test_a_sticky_conversation_moves_when_its_account_fails(campaign):
    entries = campaign("technique: relay, share: sticky, accounts: 8, sources: dialogues,"
                       " requests_per_day: 150", days=7)  # fmt: skip
    served = {e.answer.text: e.account for e in entries if e.answer.text}
    stayed = moved = 0
    for entry in entries:
        for turn in turns(entry):
            if turn["role"] == "assistant" and turn["content"] in served:
                stayed += served[turn["content"]] == entry.account
                moved += served[turn["content"]] != entry.account
    assert stayed > 20 * moved > 0


def test_what_fails_is_sent_again_from_another_account(campaign):
    entries = campaign("technique: harvest, share: round-robin, accounts: 10, sources: coding,"
                       " requests_per_day: 200")  # fmt: skip
    again = 0
    for number, entry in enumerate(entries):
        if entry.answer.end == "error":
            after = [e for e in entries[number + 1 : number + 40] if e.body is entry.body
                     or words(e) == words(entry)]  # fmt: skip
            again += bool(after) and after[0].account != entry.account
    assert again > 10


def test_a_grid_has_one_frame_in_all_accounts(campaign):
    entries = campaign("technique: template-grid, share: round-robin, accounts: 5,"
                       " sources: questions, requests_per_day: 40")  # fmt: skip
    starts = Counter(words(entry)[:8] for entry in entries)
    assert starts.most_common(1)[0][1] == len(entries)
    assert len({words(entry) for entry in entries}) > 0.9 * len(entries)


@pytest.mark.parametrize("how", ["request", "account"])
def test_paraphrasing_hides_the_frame(campaign, how):
    entries = campaign("technique: template-grid, share: round-robin, accounts: 20,"
                       f" sources: questions, requests_per_day: 40, paraphrase: {how}")  # fmt: skip
    starts = Counter(words(entry)[:30] for entry in entries)
    assert starts.most_common(1)[0][1] < 0.4 * len(entries)


def test_what_self_instruct_made_is_asked_and_comes_back_as_a_seed(campaign):
    entries = campaign("technique: self-instruct, share: random, accounts: 5,"
                       " sources: instructions, requests_per_day: 60")  # fmt: skip
    made = [e for e in entries if "\n5. " in e.answer.text]
    assert made
    lines = {
        line.split(". ", 1)[1] for e in made for line in e.answer.text.split("\n") if ". " in line
    }
    assert any(words(e) in lines for e in entries)
    assert any(line in words(e) for e in made[5:] for line in lines)


def test_a_benchmark_is_collected_in_its_order_each_item_once_a_round(campaign):
    entries = campaign("technique: benchmark, share: round-robin, accounts: 3, sources: sums,"
                       " requests_per_day: 40")  # fmt: skip
    asked = [words(e) for e in entries if e.answer.end == "complete"]
    assert len(set(asked)) == 11
    runs = sum(asked.index(b) == (asked.index(a) + 1) % 11 for a, b in pairwise(asked))
    assert runs > 0.8 * len(asked)
    assert all(e.body.get("temperature", 0.0) == 0.0 for e in entries)


def test_a_reasoning_campaign_probes_on_few_accounts_before_it_scales(campaign):
    entries = campaign("technique: reasoning, share: round-robin, accounts: 10, sources: sums,"
                       " requests_per_day: 20, probes: 200")  # fmt: skip
    blocks = Counter(words(entry)[:40] for entry in entries)
    block, scaled = blocks.most_common(1)[0]
    probes = [entry for entry in entries if words(entry)[:40] != block]
    assert len(probes) >= 200
    few = Counter(entry.account for entry in probes).most_common(4)
    # But for those that failed: they went on to another account.
    assert sum(number for _, number in few) > 0.95 * len(probes)
    assert scaled > 500
    declined = sum("can't" in e.answer.text or "not able" in e.answer.text or "don't" in e.answer.text
                   or "isn't" in e.answer.text for e in probes)  # fmt: skip
    assert declined > 0.7 * len(probes)
    assert max(entry.t for entry in probes) < START + 3 * DAY


def test_sealed_reasoning_is_replayed_in_another_account(campaign):
    entries = campaign("technique: blob-replay, share: random, accounts: 5,"
                       " sources: [sums, coding], requests_per_day: 40,"
                       " models: [claude-sonnet-4-5, o3], styles: own")  # fmt: skip
    owner = {seal: entry.account for entry in entries for seal in entry.answer.sealed}
    replayed = [(owner[seal], entry.account) for entry in entries for seal in sealed(entry)]
    assert len(replayed) > 50
    assert sum(a != b for a, b in replayed) > 0.6 * len(replayed)
    assert {entry.path for entry in entries} >= {"/v1/messages"}


def test_a_logit_sweep_keeps_its_prompt_and_changes_its_biases(campaign):
    entries = campaign("technique: logit-sweep, share: round-robin, accounts: 2,"
                       " sources: questions, requests_per_day: 100, models: gpt-4.1-mini")  # fmt: skip
    assert all(entry.body["logprobs"] and entry.body["top_logprobs"] == 20 for entry in entries)
    biases = [tuple(e.body["logit_bias"]) for e in entries if "logit_bias" in e.body]
    assert len(set(biases)) > 0.9 * len(biases)
    assert len({words(entry) for entry in entries}) < len(entries) / 20


def test_a_rubric_campaign_brings_our_own_answers_back(campaign):
    entries = campaign("technique: rubric, share: least-recently-used, accounts: 5,"
                       " sources: instructions, requests_per_day: 40")  # fmt: skip
    served = {entry.answer.text: entry.account for entry in entries if len(entry.answer.text) > 80}
    back = [(account, entry.account) for text, account in served.items()
            for entry in entries if text in words(entry)]  # fmt: skip
    assert len(back) > 0.3 * len(entries)
    assert sum(a != b for a, b in back) > 0.5 * len(back)


def test_a_relay_migrates_conversations_between_accounts(campaign):
    entries = campaign("technique: relay, share: least-recently-used, accounts: 6,"
                       " sources: dialogues, requests_per_day: 40")  # fmt: skip
    served = {e.answer.text: e.account for e in entries if e.answer.text}
    moved = [served[turn["content"]] != entry.account for entry in entries
             for turn in turns(entry) if turn["content"] in served]  # fmt: skip
    assert len(moved) > 50
    assert sum(moved) > len(moved) / 2


def test_a_session_replay_begins_with_a_history_that_nobody_served(campaign):
    entries = campaign("technique: session-replay, share: round-robin, accounts: 3,"
                       " sources: coding, requests_per_day: 20")  # fmt: skip
    served = {entry.answer.text for entry in entries if entry.answer.text}
    for entry in entries:
        assert len(turns(entry)) >= 9
        said = [turn.get("content") for turn in turns(entry)]
        assert not any(text in served for text in said if isinstance(text, str))


def test_a_pivot_turns_to_a_new_model_within_a_day(campaign):
    entries = campaign("technique: harvest, share: random, accounts: 5, sources: coding,"
                       " requests_per_day: 60, pivot: claude-sonnet-5",
                       "releases: [{model: claude-sonnet-5, after: 2d}]\n")  # fmt: skip
    came = START + 2 * DAY
    assert not any(e.body["model"] == "claude-sonnet-5" for e in entries if e.t < came)
    later = [e.body["model"] == "claude-sonnet-5" for e in entries if e.t > came + DAY]
    assert sum(later) > 0.9 * len(later)


@pytest.mark.parametrize("cover", [5, 10, 25, 50, 90])
@pytest.mark.parametrize("technique", ["harvest", "relay"])
def test_the_share_of_cover_is_what_the_file_says(campaign, cover, technique):
    entries = campaign(f"technique: {technique}, share: random, accounts: 10, sources: dialogues,"
                       f" requests_per_day: 60, cover: {cover}%, cover_sources: questions")  # fmt: skip
    share = sum(entry.label.cover for entry in entries) / len(entries)
    assert abs(share - cover / 100) < 0.03
    assert 0.8 < len(entries) / 2400 < 1.2


def test_cover_is_sent_by_the_same_accounts_that_harvest(campaign):
    entries = campaign("technique: harvest, share: random, accounts: 4, sources: coding,"
                       " requests_per_day: 60, cover: 50%, cover_sources: questions")  # fmt: skip
    assert {e.account for e in entries if e.label.cover} == {e.account for e in harvests(entries)}


def test_jitter_makes_gaps_uneven(campaign):
    def unevenness(more):
        entries = campaign("technique: harvest, share: round-robin, accounts: 10, sources: coding,"
                           f" requests_per_day: 40{more}")  # fmt: skip
        gaps = [b.t - a.t for a, b in pairwise(entries)]
        mean = sum(gaps) / len(gaps)
        return (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5 / mean

    assert unevenness("") < 0.75 < unevenness(", jitter: 2h")


def test_accounts_join_one_by_one_and_a_campaign_ends(campaign):
    entries = campaign("technique: harvest, share: round-robin, accounts: 10, sources: coding,"
                       " requests_per_day: 60, begins: 12h, joins: 2d, lasts: 3d")  # fmt: skip
    assert min(e.t for e in entries) >= START + DAY // 2
    assert max(e.t for e in entries) < START + 3.6 * DAY
    early = {e.account for e in entries if e.t < START + DAY}
    assert len(early) < 5
    assert len({e.account for e in entries}) == 10


def test_accounts_of_a_campaign_sign_up_on_differing_days_and_pay_with_their_own_cards(campaign):
    entries = campaign("technique: harvest, share: random, accounts: 40, sources: coding,"
                       " requests_per_day: 5")  # fmt: skip
    attributes = {entry.account: entry.attributes for entry in entries}
    assert len({each["signed_up"] for each in attributes.values()}) > 10
    assert len({each["card"] for each in attributes.values()}) > 36
    assert len({entry.org for entry in entries}) == len(attributes)
    assert {entry.plan for entry in entries} == {"free", "paid", "enterprise"}


def user(entry):
    return entry.body.get("user") or entry.body.get("metadata", {}).get("user_id", "")


@pytest.mark.parametrize("technique", ["harvest", "relay", "session-replay"])
def test_no_account_names_its_users_in_some_requests_only(campaign, technique):
    entries = campaign(f"technique: {technique}, share: random, accounts: 12, sources: dialogues,"
                       " requests_per_day: 30, cover: 50%, cover_sources: questions, styles: own")  # fmt: skip
    named = defaultdict(set)
    for entry in entries:
        named[entry.account].add(bool(user(entry)))
        assert not user(entry) or user(entry).startswith("u_")
    assert {len(each) for each in named.values()} == {1}
    assert len(set.union(*named.values())) == 2


def test_what_an_sdk_sends_again_is_the_same_body(campaign):
    entries = campaign("technique: harvest, share: heavy, sources: coding, requests_per_day: 900,"
                       " cover: 25%, styles: own")  # fmt: skip
    last = again = 0
    for before, entry in pairwise(harvests(entries)):
        if entry.retry:
            again += 1
            last += entry.body == before.body
    assert last > 0.7 * again > 5  # others came between


def test_who_asks_for_sealed_reasoning_gets_it_in_a_replay_too(campaign):
    entries = campaign("technique: blob-replay, share: random, accounts: 5,"
                       " sources: [sums, coding], requests_per_day: 40")  # fmt: skip
    thought = [e for e in entries if e.answer.end == "complete"
               and ("thinking" in e.body or "include" in e.body)]  # fmt: skip
    assert any(any(sealed(entry)) for entry in thought)
    assert all(entry.answer.sealed for entry in thought)


def test_a_relayed_conversation_never_begins_anew(campaign):
    entries = campaign("technique: relay, share: sticky, accounts: 4, sources: dialogues,"
                       " requests_per_day: 100")  # fmt: skip
    long = [entry for entry in entries if len(turns(entry)) > 6]
    assert long
    for entry in long:
        asked = [turn["content"].lower().strip(" .?!") for turn in turns(entry)
                 if turn["role"] == "user"]  # fmt: skip
        assert len(asked) == len(set(asked))


def test_answers_to_made_instructions_differ_in_length(campaign):
    entries = campaign("technique: self-instruct, share: random, accounts: 5,"
                       " sources: coding, requests_per_day: 60, models: gpt-4.1-mini")  # fmt: skip
    sizes = sorted(e.answer.usage.relayed for e in entries
                   if e.answer.end == "complete" and not e.answer.text)  # fmt: skip
    assert sizes[len(sizes) * 9 // 10] > 3 * sizes[len(sizes) // 10]


def test_a_tool_never_gives_back_what_it_was_given(campaign):
    entries = campaign("technique: session-replay, share: round-robin, accounts: 3,"
                       " sources: questions, requests_per_day: 20, models: gpt-4.1")  # fmt: skip
    for entry in entries:
        results = [t.get("content") or t.get("output") for t in turns(entry)
                   if t.get("role") == "tool" or "output" in t]  # fmt: skip
        given = str([t for t in turns(entry) if t.get("tool_calls") or "arguments" in t])
        assert results
        assert not any(result in given for result in results)


def test_a_sweep_knocks_at_the_one_door_that_takes_biases(population):
    parts = """\
campaigns:
  - {campaign: c, technique: logit-sweep, share: round-robin, accounts: 12, sources: questions,
     requests_per_day: 20, models: gpt-4.1-mini, styles: own}
"""
    assert {entry.path for entry in compose(population(parts, 2))} == {"/v1/chat/completions"}


def test_a_campaign_prefers_its_first_model_as_anybody_does(population):
    parts = "campaigns:\n" + "".join(
        f"  - {{campaign: c{name}, technique: harvest, share: random, accounts: 4,"
        " sources: coding, requests_per_day: 40, models: [gpt-4.1, gpt-5]}\n"
        for name in range(10)
    )
    models = defaultdict(Counter)
    for entry in compose(population(parts, 2)):
        models[entry.label.operator][entry.body["model"]] += 1
    shares = [each.most_common(1)[0][1] / each.total() for each in models.values()]
    assert min(shares) > 0.65
    assert any(share < 1 for share in shares)

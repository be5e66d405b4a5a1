"""Each honest archetype does what its docstring says."""

from collections import Counter, defaultdict
from datetime import UTC, date, datetime
from itertools import pairwise

import orjson

from proxy.population.compose import compose


def turns(entry):
    return entry.body.get("messages") or entry.body.get("input") or []


def words(entry):
    """The last thing that was said to the model."""
    content = turns(entry)[-1]["content"]
    return content if isinstance(content, str) else ""


def system(entry):
    first = turns(entry)[0]
    spoken = first["content"] if first.get("role") == "system" else ""
    return entry.body.get("system") or entry.body.get("instructions") or spoken


def everything(found):
    return [entry for entries in found.values() for entry in entries]


def busy(found, least=20):
    return [entries for entries in found.values() if len(entries) >= least]


def test_a_chat_product_has_end_users_whose_history_grows(honest):
    found = honest("chat-product", "dialogues")
    grown = named = 0
    for entries in busy(found):
        bodies = [orjson.dumps(entry.body).decode() for entry in entries]
        users = {user for body in bodies for user in [body.partition('"u_')[2][:12]] if user}
        assert not users or len(users) > 5
        named += bool(users)
        for entry in entries:
            said = [turn for turn in turns(entry) if turn["role"] != "system"]
            assert said[-1]["role"] == "user"
            grown += len(said) > 2
    assert grown > 50
    assert named > 0


def test_what_a_history_quotes_was_served_to_the_same_account(honest):
    for entries in busy(honest("chat-product", "dialogues")):
        served = set()
        for entry in entries:
            for turn in turns(entry):
                if turn["role"] == "assistant":
                    assert turn["content"] in served
            served.add(entry.answer.text)


def test_a_gateway_has_many_products_behind_a_key_and_histories_of_others(honest):
    for entries in busy(honest("gateway", "[dialogues, coding]", 120, 3)):
        systems = {system(entry) for entry in entries}
        assert len(systems) > 3
        served, foreign = set(), 0
        for entry in entries:
            said = [turn["content"] for turn in turns(entry) if turn["role"] == "assistant"]
            foreign += any(text not in served for text in said)
            served.add(entry.answer.text)
        assert foreign > 0


def test_a_batch_has_one_template_and_tiny_answers(honest):
    for entries in busy(honest("batch", "support", 60)):
        starts = Counter(words(entry)[:12] for entry in entries)
        ends = Counter(words(entry)[-12:] for entry in entries)
        top = max(starts.most_common(1)[0][1], ends.most_common(1)[0][1])
        assert top == len(entries)
        done = [entry for entry in entries if entry.answer.end == "complete"
                and entry.answer.usage.reported_output
                - (entry.answer.usage.reported_reasoning or 0) <= 16]  # fmt: skip
        assert len(done) > 0.95 * len(entries)


def test_rag_has_long_prompts_and_questions_that_come_again(honest):
    found = honest("rag", "[notes, questions]", 60)
    asked = [
        e for e in everything(found) if e.path != "/v1/embeddings" and e.answer.end == "complete"
    ]
    sizes = sorted(entry.answer.usage.reported_prompt for entry in asked)
    assert sizes[len(sizes) // 2] > 200
    assert any(e.path == "/v1/embeddings" for e in everything(found))
    for entries in busy(found, 100):
        bodies = Counter(words(entry)[-60:] for entry in entries if entry.path != "/v1/embeddings")
        assert bodies.most_common(1)[0][1] > 3


def test_a_code_agent_comes_in_bursts_with_tools_and_a_growing_prefix(honest):
    for entries in busy(honest("code-agent", "coding", 60), 60):
        assert all(entry.body.get("tools") for entry in entries)
        gaps = [b.t - a.t for a, b in pairwise(entries)]
        mean = sum(gaps) / len(gaps)
        spread = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
        assert spread / mean > 1.5
        assert sum(len(turns(b)) > len(turns(a)) for a, b in pairwise(entries)) > len(gaps) / 2


def test_sealed_reasoning_of_an_agent_comes_back_in_its_own_account(honest):
    found = honest("code-agent", "coding", 60, 12)
    owners = {seal: entry.account for entry in everything(found) for seal in entry.answer.sealed}
    assert owners
    returned = 0
    for account, entries in found.items():
        for entry in entries:
            for seal in sealed(entry):
                assert owners[seal] == account
                returned += 1
    assert returned > 20


def sealed(entry):
    for turn in turns(entry):
        if "encrypted_content" in turn:
            yield turn["encrypted_content"]
        for block in turn.get("content") or []:
            if isinstance(block, dict) and "signature" in block:
                yield block["signature"]


def test_an_eval_goes_over_one_finite_set_again_and_again_at_temperature_zero(honest):
    found = honest("eval", "[sums, coding]", 60, 12)
    for entries in busy(found, 100):
        asked = Counter(words(entry) for entry in entries)
        assert len(asked) < len(entries) / 2
        assert all(entry.body.get("temperature", 0.0) == 0.0 for entry in entries)
        cap = {entry.body.get(name) for entry in entries for name in entry.body if "tokens" in name}
        assert max(cap) <= 512


def test_half_of_the_evals_declare_it(honest):
    found = honest("eval", "sums", 10, 60)
    declared = sum(entries[0].purpose == "eval" for entries in found.values())
    assert 0.3 < declared / len(found) < 0.7


def test_an_eval_measures_a_model_on_the_day_it_comes_out(honest):
    found = honest("eval", "sums", 20, 20, "releases: [{model: claude-sonnet-5, after: 3d}]")
    first = [min(e.t for e in entries if e.body["model"] == "claude-sonnet-5")
             for entries in found.values()
             if any(e.body["model"] == "claude-sonnet-5" for e in entries)]  # fmt: skip
    came = 1780272000_000_000 + 3 * 86400 * 10**6
    assert first
    assert min(first) >= came
    assert sum(t < came + 86400 * 10**6 for t in first) > len(first) / 2


def test_cron_comes_at_the_same_minute_of_every_day(honest):
    for entries in honest("cron", "notes", 4).values():
        days = defaultdict(list)
        for entry in entries:
            moment = datetime.fromtimestamp(entry.t / 1e6, UTC)
            days[moment.date()].append(moment.hour * 60 + moment.minute)
        begun = [min(minutes) for minutes in days.values()]
        assert max(begun) - min(begun) <= 1


def test_ci_asks_the_same_from_many_addresses_on_business_days(honest):
    for entries in busy(honest("ci", "[instructions, coding]", 60), 100):
        assert len({entry.ip for entry in entries}) > 5
        assert len({words(entry) for entry in entries}) <= 20
        weekend = sum(datetime.fromtimestamp(e.t / 1e6, UTC).weekday() >= 5 for e in entries)
        assert weekend < 0.25 * len(entries)


def test_a_migration_goes_on_under_a_new_key_of_its_organisation_at_full_rate(honest):
    found = honest("migration", "[support, notes, dialogues]", 60, 4)
    orgs = defaultdict(dict)
    for account, entries in found.items():
        orgs[entries[0].org][account] = entries
    moved = [accounts for accounts in orgs.values() if len(accounts) == 2]
    assert moved
    for accounts in moved:
        old, new = sorted(accounts.values(), key=lambda entries: entries[0].t)
        assert old[-1].t <= new[0].t
        assert old[0].key != new[0].key
        first_day = sum(e.t < new[0].t + 86400 * 10**6 for e in new)
        last_day = sum(e.t > old[-1].t - 86400 * 10**6 for e in old)
        assert first_day > last_day / 5


def test_a_retry_storm_sends_the_same_body_again_while_it_fails(honest):
    found = honest("retry-storm", "support", 30)
    retried = [entry for entry in everything(found) if entry.retry]
    assert len(retried) > 30
    for entries in found.values():
        for a, b in pairwise([e for e in entries if e.retry]):
            assert a.t < b.t
    failed = sum(entry.answer.end == "error" for entry in everything(found))
    assert failed > 0.05 * len(everything(found))


def test_a_grader_gives_long_texts_one_rubric_and_wants_a_mark(honest):
    found = honest("grader", "[coding, sums]", 40, 12)
    judges = 0
    for entries in found.values():
        served = [entry.answer.text for entry in entries if len(entry.answer.text) > 60]
        marks = [entry for entry in entries if "Grad" in words(entry) or "Rubric" in words(entry)
                 or "mark" in words(entry) or "rate its" in words(entry)]  # fmt: skip
        judges += any(text in words(mark) for text in served for mark in marks)
    assert 0 < judges < len(found)


def test_a_researcher_varies_the_prompt_and_bounds_the_run(honest):
    found = honest("researcher", "[sums, questions]", 60, 12)
    temperatures = Counter(entry.body.get("temperature") for entry in everything(found))
    assert len(temperatures) > 3
    assert any(entry.body.get("logprobs") for entry in everything(found))


def test_a_translator_gets_as_much_as_it_gives_and_repeats_segments(honest):
    found = honest("translator", "[notes, support]", 60)
    for entries in busy(found, 100):
        assert len({words(entry) for entry in entries}) < len(entries)
        done = [e for e in entries if e.answer.end == "complete"]
        given = sum(len(words(e)) / 4 for e in done)
        got = sum(e.answer.usage.relayed for e in done)
        assert 0.2 < got / given < 1.5


def test_a_load_test_asks_one_thing(honest):
    for entries in busy(honest("load-test", "questions", 200)):
        assert len({words(entry) for entry in entries}) < 40 < len(entries)


def test_licensed_data_is_declared_verified_or_not(honest):
    found = honest("licensed", "[instructions, coding]", 60, 4)
    assert {entry.purpose for entry in everything(found)} == {"synthetic-licensed"}
    assert {entry.plan for entry in everything(found)} == {"enterprise"}


def test_some_sorters_want_probabilities_with_biases_that_stay_the_same(honest):
    found = honest("batch", "support", 60, 30, "    models: gpt-4.1-mini")
    biases = [{tuple(e.body["logit_bias"].items()) for e in entries if "logit_bias" in e.body}
              for entries in found.values()]  # fmt: skip
    scored = [each for each in biases if each]
    assert 2 < len(scored) < 15
    assert all(len(each) == 1 for each in scored)
    assert all(e.body["logprobs"] for e in everything(found) if "logit_bias" in e.body)


def test_some_who_signed_up_wait_for_weeks_before_they_begin(population):
    parts = """\
honest:
  - {archetype: chat-product, accounts: 400, sources: questions,
     requests_per_day: {median: 8, spread: 0.1}}
"""
    first, signed = {}, {}
    for entry in compose(population(parts, 14)):
        first.setdefault(entry.account, entry.t / 86400e6)
        signed[entry.account] = date.fromisoformat(entry.attributes["signed_up"])
    epoch, start = date(1970, 1, 1), 1780272000 / 86400
    waits = [first[who] - (signed[who] - epoch).days for who in first if first[who] > start + 3]
    assert len(waits) > 10
    assert all(wait >= 0 for wait in waits)
    assert min(waits) < 3
    assert max(waits) > 10

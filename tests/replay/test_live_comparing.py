"""What an answer tells of its decision, and when that is what the policies say."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import orjson
import pytest
from yarl import URL

from proxy.core.facts import RequestFacts, Usage
from proxy.dialects import routes
from proxy.policy.loader import load
from proxy.policy.models import Models
from proxy.replay.live.comparing import Comparison, Disagreement, compared, lived
from proxy.replay.live.measured import Measured, percentiles
from proxy.replay.live.options import Options
from proxy.replay.live.result import EDGE, Result
from proxy.replay.live.seen import Seen, Told, told_of
from proxy.replay.live.sending import Request
from proxy.traffic.entry import Entry

START = 1_763_900_000_000_000
CHAT, FREE = RequestFacts("openai.chat"), RequestFacts("openai.models", metered=False)
NAMED = "(limit a/b, decision wd_1)"


def error(code, message="no", **more) -> bytes:
    return orjson.dumps({"error": {"message": message, "code": code, **more}})


# status, header, body, facts; effect, codes
TOLD = {
    "served": (200, "wd_1", b"", CHAT, "allow", None),
    "flagged": (200, 'wd_1;codes="limit.flagged"', b"", CHAT, "allow", ("limit.flagged",)),
    "shaped": (200, 'wd_1;codes="limit.shaped clamp.n"', b"", CHAT, "shape", ("limit.shaped", "clamp.n")),
    "delayed": (200, 'wd_1;codes="limit.shaped delay.answer"', b"", CHAT, "delay", ("limit.shaped", "delay.answer")),
    "both": (200, 'wd_1;codes="limit.shaped strip.seed delay.answer"', b"", CHAT, "shape",
             ("limit.shaped", "strip.seed", "delay.answer")),
    "free": (200, "wd_1", b"", FREE, "free", None),
    "refused": (429, 'wd_1;codes="limit.exceeded"', error("rate_limit_exceeded", NAMED), CHAT, "refuse", ("limit.exceeded",)),
    "refused, muted": (429, "wd_1", error("rate_limit_exceeded", NAMED), CHAT, "refuse", ("limit.exceeded",)),
    "quota, muted": (429, "wd_1", error("insufficient_quota", NAMED), CHAT, "refuse", ("limit.exceeded",)),
    "never fits, muted": (429, "wd_1", error("request_too_large_for_limit", NAMED), CHAT, "refuse", ("limit.never_fits",)),
    "Anthropic's form": (403, "wd_1", error(None, NAMED, details={"error_code": "capability.forbidden"}), CHAT,
                         "refuse", ("capability.forbidden",)),
    "under review": (403, 'wd_1;codes="account_under_review"', error("account_under_review", NAMED), CHAT,
                     "refuse", ("account_under_review",)),
    "store away": (503, 'wd_1;codes="store.unavailable"', error("store.unavailable", NAMED), CHAT,
                   "refuse", ("store.unavailable",)),
    "the model API's own 429": (429, "wd_1", error("rate_limit_exceeded"), CHAT, "", None),
    "the model API's own 429, shaped": (429, 'wd_1;codes="limit.shaped clamp.n"', error("rate_limit_exceeded"), CHAT,
                                        "", ("limit.shaped", "clamp.n")),
    "the model API failed": (502, "wd_1", error("upstream.failed"), CHAT, "", None),
    "the model API's 400": (400, "wd_1", error("context_length_exceeded"), CHAT, "", None),
    "no request": (400, "wd_1", error("request.malformed"), None, "error", ("request.malformed",)),
    "no request, no code": (400, "wd_1", error(None), None, "error", None),
    "no key": (401, "wd_1", error("invalid_api_key"), CHAT, "error", ("invalid_api_key",)),
    "a closed door": (403, "wd_1", error("batches.unmetered"), None, "error", ("batches.unmetered",)),
    "an object that is not there": (404, "wd_1", error(None), CHAT, "error", None),
    "a proxy before it": (502, "", b"<html>", CHAT, "error", None),
    "a redirect": (302, "", b"", CHAT, "error", None),
    "a header of somebody else": (200, 'x;codes="limit.shaped clamp.n"', b"", CHAT, "allow", None),
    "codes that are none": (200, 'wd_1;codes="<script>"', b"", CHAT, "allow", None),
    "a body that is no object": (400, "wd_1", b"[1]", CHAT, "", None),
    "an error that is no object": (400, "wd_1", b'{"error": "no"}', CHAT, "", None),
    "a code that is no word": (429, "wd_1", error("<script>", NAMED), CHAT, "refuse", ("",)),
}  # fmt: skip


@pytest.mark.parametrize("name", TOLD)
def test_an_answer_tells_its_effect_and_codes(name):
    status, header, body, facts, effect, codes = TOLD[name]
    found = told_of(status, {"x-weir-decision": header}, body, facts, "sk-secret")
    assert (found.effect, found.codes) == (effect, codes)


def test_a_part_of_the_secret_that_is_echoed_is_not_told():
    secret = "key_live_7c21b09e55d3"
    headers = {"x-weir-decision": f'wd_1;codes="{secret[:16]}"'}
    assert told_of(200, headers, b"", CHAT, secret).codes is None
    found = told_of(429, {"x-weir-decision": "wd_1"}, error(f"a{secret[8:]}", NAMED), CHAT, secret)
    assert (found.effect, found.codes) == ("refuse", ("",))


def test_a_name_that_would_steer_a_terminal_is_only_shown():
    each = Disagreement(1, 0, "wd_1", "ac\x1b[31m\u202eme", "allow", (), "refuse", (), ())
    found = Comparison(compared=1, effects=[each])
    told = "\n".join(Result(Options(URL("http://x")), Measured(), found, "all sent").lines())
    assert "ac\\x1b[31m\\u202eme" in told
    assert "\x1b" not in told


def test_a_clamped_number_of_choices_is_read_beside_other_changes():
    shape = 'strip;of=logprobs, clamp;of=n;asked="16";given="4", clamp;of=top_logprobs;asked="5";given="1"'
    headers = {"x-weir-decision": "wd_1", "x-weir-shape": shape}
    assert told_of(200, headers, b"", CHAT, "sk-secret").choices == (16, 4)


POLICY = """\
policy: one
limits:
  - {limit: few, allow: 3 requests, per: day, by: [account]}
  - {limit: output, allow: 100 output_tokens, per: day, by: [account], otherwise: {shape: less}}
shapes:
  less: {clamp: {n: 1}}
"""


@pytest.fixture
def rules(tmp_path):
    (tmp_path / "one.yaml").write_text(POLICY)
    return load(tmp_path)


def seen(at: int = 0, told: Told | None = None, body: dict | None = None, **more) -> Seen:
    asked = body or {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 10}
    asked = {"model": "m", **asked}
    entry = Entry(START, "k", "a", "a", body=asked)
    route = routes.route("POST", entry.path, {})
    (facts,) = route.dialect.read(orjson.dumps(asked), Models().rules, route.call)
    request = Request(entry, "POST", URL("http://x/"), {}, b"", "sk-secret", route, facts)
    made = Seen(request, at, at, START + at, first=5, ended=10, status=200, **more)
    made.told = told or Told("wd_1", "allow")
    return made


REFUSED = Told("wd_1", "refuse", ("limit.exceeded",))


def test_agreement_is_by_effect_and_codes_in_the_order_of_sending(rules):
    # As answers ended: the last that was sent is heard of first.
    told = [None, None, None, REFUSED]
    heard = [seen(at, each) for at, each in enumerate(told)][::-1]
    found = compared(heard, rules)
    assert (found.compared, found.agreed, found.same_codes, found.first) == (4, 4, 4, [])
    assert found.agreement == 1.0


def test_a_disagreement_is_told_with_what_was_expected_and_its_numbers(rules):
    heard = [seen(at) for at in range(4)]
    heard[1].told = REFUSED
    heard[2].told = Told("wd_1", "allow", ("limit.flagged",))
    found = compared(heard, rules)
    assert found.matrix == Counter(
        {("allow", "allow"): 2, ("allow", "refuse"): 1, ("refuse", "allow"): 1}
    )
    assert [(each.number, each.expected, each.live) for each in found.first] == [
        (2, "allow", "refuse"), (4, "refuse", "allow"), (3, "allow", "allow"),
    ]  # fmt: skip
    assert found.first[1].why == ("limit.exceeded: one/few, 0 of 3 requests left, 1 asked",)
    assert found.first[2].live_codes == ("limit.flagged",)
    result = Result(Options(URL("http://x/")), Measured(), found, "all sent")
    lines = list(result.lines())
    assert "2 of 4 decided as the policies say (50.00 %), 1 with the same codes" in lines
    assert lines[-1] == EDGE
    assert not result.agreed
    orjson.dumps(result.as_dict())


def test_where_no_codes_are_told_all_that_was_served_is_one(rules):
    shaped = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 90, "n": 2}
    heard = [seen(at, body=shaped) for at in range(2)]
    found = compared(heard, rules)
    assert found.muted
    assert (found.compared, found.agreed) == (2, 2)
    assert found.matrix == Counter({("shape", "allow"): 2})


def test_what_nobody_can_compare_is_counted_by_why(rules):
    lost = seen(0, failed="timeout", how="abandoned")
    lost.status = 0
    unreached = seen(1, failed="connect")
    unreached.status = 0
    failed = seen(2, Told("wd_1", ""))
    failed.status = 502
    stored = seen(3, Told("wd_1", "error"))
    facts = stored.request.facts
    assert facts is not None
    stored.request = replace(stored.request, facts=replace(facts, references=("resp_1",)))
    stored.status = 404
    crowded = seen(4, Told("wd_1", "refuse", ("delay.full", "limit.shaped")))
    found = compared([lost, unreached, failed, stored, crowded], rules)
    assert found.compared == 0
    assert found.agreement is None
    assert found.skipped == Counter(
        {
            "no answer": 2,
            "the model API failed": 1,
            "its stored object is not there": 1,
            "too many were waiting to be delayed": 1,
        }
    )


def test_what_never_reached_the_gateway_takes_nothing_of_a_limit(rules):
    heard = [seen(at, failed="connect") for at in range(3)] + [seen(at) for at in range(3, 6)]
    assert compared(heard, rules).matrix == Counter({("allow", "allow"): 3})


def test_one_request_beyond_an_edge_is_told_once_and_not_for_ever_after(tmp_path):
    (tmp_path / "one.yaml").write_text(
        "policy: one\nlimits:\n  - {limit: out, allow: 30 output_tokens, per: day, by: [key]}\n"
    )
    ten = Usage(reported_output=10, relayed=10)
    # The gateway had room for two only: another's answer had come a moment later there.
    heard = [seen(at, usage=ten) for at in (0, 100)]
    heard += [seen(at, REFUSED) for at in (200, 10**7, 2 * 10**7, 3 * 10**7)]
    found = compared(heard, load(tmp_path))
    assert [each.number for each in found.first] == [3]


@pytest.mark.parametrize(("asked", "given", "tokens"), [(16, 1, 7), (3, 2, 11), (128, 127, 1)])
def test_the_share_of_a_clamped_answer_is_what_was_served(asked, given, tokens):
    shown = seen(usage=Usage(reported_output=tokens, relayed=tokens))
    shown.told = Told("wd_1", "shape", ("limit.shaped", "clamp.n"), (asked, given))
    answer = lived(shown).answer
    assert answer is not None
    assert answer.usage.reported_output is not None
    assert answer.usage.reported_output * given // asked == tokens
    assert answer.usage.relayed * given // asked == tokens


def test_percentiles_are_of_what_was_measured():
    assert percentiles([]) == {}
    assert percentiles(range(1_000, 101_000, 1_000)) == {
        "p50": 50.0, "p90": 90.0, "p99": 99.0, "max": 100.0,
    }  # fmt: skip

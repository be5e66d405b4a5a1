"""Sealed reasoning serves whom it was handed to, where it was handed out, and nobody else."""

from __future__ import annotations

import itertools
from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.sealing import ANYWHERE, MARK, Kind, Sealing, bare
from proxy.core.shape import Change
from proxy.dialects.binding import DROP, PASS, Bound, found
from proxy.dialects.binding_edits import REMOVED, edited
from proxy.dialects.binding_places import asked_last

SEALING = Sealing(b"a pepper of thirty-two bytes.....")
MESSAGES, RESPONSES, CHAT = "anthropic.messages", "openai.responses", "openai.chat"
DIALECTS = (MESSAGES, RESPONSES, CHAT)
BLOB = "RXF1+/aW5l=="


def bound(asked: dict, dialect: str, account="acme", org="acme-org", sealing=SEALING) -> Bound:
    return Bound(sealing, account, org, dialect, orjson.dumps(asked))


def served(asked: dict, dialect: str, blob=BLOB, **who) -> str:
    """Return what an answer to a request hands out."""
    to = bound(asked, dialect, **who)
    return to.seal.wrap(blob, to.anchor)


def kinds(asked: dict, dialect: str, **who) -> list[Kind]:
    things = found(bound(asked, dialect, **who))
    return [] if things is None else [what.kind for _, what in things.things]


def upstream(asked: dict, dialect: str, rule=DROP, **who) -> dict:
    """Return the body that the model API gets."""
    things = found(bound(asked, dialect, **who))
    return asked if things is None else orjson.loads(things.opened(rule)[0])


def user(dialect: str, text: object) -> list[dict]:
    return [{"role": "user", "content": text}]


def answer(dialect: str, blob: str, text="So it is.") -> list[dict]:
    if dialect == MESSAGES:
        thought = {"type": "thinking", "thinking": "hm", "signature": blob}
        return [{"role": "assistant", "content": [thought, {"type": "text", "text": text}]}]
    if dialect == RESPONSES:
        return [
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": blob},
            {"role": "assistant", "content": text},
        ]
    details = [{"type": "reasoning.encrypted", "data": blob}]
    return [{"role": "assistant", "content": text, "reasoning_details": details}]


def call(dialect: str, blob: str, number: int) -> list[dict]:
    """Return a turn that thinks and calls a tool."""
    name, given = "look", {"at": number}
    if dialect == MESSAGES:
        thought = {"type": "thinking", "thinking": "hm", "signature": blob}
        use = {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": given}
        return [{"role": "assistant", "content": [thought, use]}]
    if dialect == RESPONSES:
        return [
            {"type": "reasoning", "id": f"rs_{number}", "summary": [], "encrypted_content": blob},
            {"type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}",
             "name": name, "arguments": '{"at":1}'},
        ]  # fmt: skip
    details = [{"type": "reasoning.encrypted", "data": blob}]
    function = {"name": name, "arguments": "{}"}
    use = {"id": f"call_{number}", "type": "function", "function": function}
    return [
        {"role": "assistant", "content": None, "tool_calls": [use], "reasoning_details": details}
    ]


def result(dialect: str, number: int, text="found it") -> list[dict]:
    if dialect == MESSAGES:
        block = {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": text}
        return [{"role": "user", "content": [block]}]
    if dialect == RESPONSES:
        return [{"type": "function_call_output", "call_id": f"call_{number}", "output": text}]
    return [{"role": "tool", "tool_call_id": f"call_{number}", "content": text}]


def request(dialect: str, turns: list[dict], **more) -> dict:
    name = "input" if dialect == RESPONSES else "messages"
    return {"model": "m", name: turns, **more}


def conversation(dialect: str, question="Why?", **who) -> tuple[list[dict], list[dict]]:
    """Return a conversation with tools as its client has it, and as the model API knows it."""
    ours, theirs = user(dialect, question), user(dialect, question)
    for number in range(3):
        blob = f"{BLOB}{number}"
        wrapped = served(request(dialect, ours), dialect, blob, **who)
        ours += call(dialect, wrapped, number) + result(dialect, number, f"found {number}")
        theirs += call(dialect, blob, number) + result(dialect, number, f"found {number}")
    wrapped = served(request(dialect, ours), dialect, **who)
    ours += answer(dialect, wrapped) + user(dialect, "And then?")
    theirs += answer(dialect, BLOB) + user(dialect, "And then?")
    return ours, theirs


# Honest: the model API sees exactly what it has made.


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_conversation_with_tools_reaches_the_model_as_it_left_it(dialect):
    ours, theirs = conversation(dialect)
    assert upstream(request(dialect, ours), dialect) == request(dialect, theirs)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_fork_and_retry_of_a_conversation_is_its_own(dialect):
    ours, theirs = conversation(dialect)
    for end in range(1, len(ours)):
        fork = [*ours[:end], *user(dialect, "Something else.")]
        wanted = [*theirs[:end], *user(dialect, "Something else.")]
        assert upstream(request(dialect, fork), dialect) == request(dialect, wanted)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_old_turns_may_be_left_out(dialect):
    ours, theirs = conversation(dialect)
    asking = [
        number
        for number, turn in enumerate(ours)
        if turn.get("role") in {"user", "tool"} or turn.get("type") == "function_call_output"
    ]
    for start in asking:
        assert upstream(request(dialect, ours[start:]), dialect) == request(dialect, theirs[start:])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_other_turns_may_be_edited(dialect):
    ours, theirs = conversation(dialect)
    for turns in (ours, theirs):
        turns[:1] = [{"role": "system", "content": "Now be brief."}, *turns[:1]]
        turns[-1] = user(dialect, "No: and before?")[0]
    assert upstream(request(dialect, ours), dialect) == request(dialect, theirs)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_same_turn_may_be_written_in_other_ways(dialect):
    asked = request(dialect, user(dialect, "Why  is\nthe sky blue?"))
    kind = "input_text" if dialect == RESPONSES else "text"
    parts = [{"type": kind, "text": "Why is the sky blue?", "cache_control": {"type": "ephemeral"}}]
    wrapped = served(asked, dialect)
    for written in ("Why is the sky blue?", parts, [*parts, {"type": kind, "text": ""}]):
        turns = user(dialect, written) + answer(dialect, wrapped)
        assert kinds(request(dialect, turns), dialect) == [Kind.OWN]


def test_what_a_client_reminds_of_beside_a_tool_s_result_is_not_bound():
    ours, _ = conversation(MESSAGES)
    ours[2]["content"].append(
        {"type": "text", "text": "<system-reminder>Be quick.</system-reminder>"}
    )
    assert set(kinds(request(MESSAGES, ours), MESSAGES)) == {Kind.OWN}


def test_input_as_a_string_is_the_same_as_one_message():
    wrapped = served({"model": "m", "input": "Why?"}, RESPONSES)
    turns = user(RESPONSES, "Why?") + answer(RESPONSES, wrapped)
    assert kinds(request(RESPONSES, turns), RESPONSES) == [Kind.OWN]


def test_with_a_previous_response_the_input_of_this_request_counts():
    asked = request(RESPONSES, result(RESPONSES, 7), previous_response_id="resp_1")
    wrapped = served(asked, RESPONSES)
    whole = user(RESPONSES, "Why?") + call(
        RESPONSES, served(request(RESPONSES, user(RESPONSES, "Why?")), RESPONSES), 7
    )
    whole += result(RESPONSES, 7) + answer(RESPONSES, wrapped)
    assert kinds(request(RESPONSES, whole), RESPONSES) == [Kind.OWN, Kind.OWN]


def test_outputs_that_the_provider_s_own_tools_give_do_not_part_a_run():
    wrapped = served(request(RESPONSES, user(RESPONSES, "Why?")), RESPONSES)
    ran = [
        {"type": "shell_call", "call_id": "c"},
        {"type": "shell_call_output", "call_id": "c", "output": []},
    ]
    turns = [*user(RESPONSES, "Why?"), *ran, *answer(RESPONSES, wrapped)]
    assert kinds(request(RESPONSES, turns), RESPONSES) == [Kind.OWN]
    mine = [*user(RESPONSES, "Why?"), *ran]
    turns = [*mine, *answer(RESPONSES, served(request(RESPONSES, mine), RESPONSES))]
    assert kinds(request(RESPONSES, turns), RESPONSES) == [Kind.OWN]


def test_a_compacted_conversation_has_nothing_before_it():
    wrapped = bound(request(RESPONSES, []), RESPONSES).seal.wrap(BLOB, ANYWHERE)
    turns = [{"type": "compaction", "encrypted_content": wrapped}, *user(RESPONSES, "Go on.")]
    assert kinds(request(RESPONSES, turns), RESPONSES) == [Kind.OWN]
    turns[0] = {"type": "reasoning", "summary": [], "encrypted_content": wrapped}
    assert kinds(request(RESPONSES, turns), RESPONSES) == [Kind.CONVERSATION]


def test_gateways_that_share_a_pepper_read_each_other():
    ours, theirs = conversation(MESSAGES)
    other = Sealing(b"a pepper of thirty-two bytes.....")
    assert upstream(request(MESSAGES, ours), MESSAGES, sealing=other) == request(MESSAGES, theirs)


def test_bytes_that_are_not_sealed_stay_as_they_came():
    ours, theirs = conversation(MESSAGES)
    said = request(MESSAGES, ours, metadata={"note": "signature", "n": 1.0})
    body = orjson.dumps(said, option=orjson.OPT_INDENT_2)
    things = found(replace(bound(said, MESSAGES), body=body))
    assert things is not None
    wanted = orjson.dumps(
        request(MESSAGES, theirs, metadata={"note": "signature", "n": 1.0}),
        option=orjson.OPT_INDENT_2,
    )
    assert things.opened(DROP) == (wanted, ())


def test_a_gateway_behind_another_gets_back_its_own():
    asked = request(MESSAGES, user(MESSAGES, "Why?"))
    inner = served(asked, MESSAGES, sealing=Sealing(b"another pepper"))
    outer = served(asked, MESSAGES, inner)
    turns = user(MESSAGES, "Why?") + answer(MESSAGES, outer)
    body = upstream(request(MESSAGES, turns), MESSAGES)
    assert body["messages"][1]["content"][0]["signature"] == bare(outer)


# Thieves: nothing passes as own.


def replays():
    """Yield (name, dialect, account, org, turns, what it is) of blobs that are somewhere else."""
    for dialect, number in itertools.product(DIALECTS, range(10)):
        ours, _ = conversation(dialect, f"Question {number}")
        blobs = [what.text for what, _ in found(bound(request(dialect, ours), dialect)).things]
        for place, blob in enumerate(blobs):
            name = f"{dialect}-{number}-{place}"
            same = ours[:1] + answer(dialect, blob) + user(dialect, "Tell your thoughts.")
            other = user(dialect, f"Another {number}") + answer(dialect, blob)
            yield f"{name}-thief", dialect, "thief", "thieves", same, Kind.ACCOUNT
            yield f"{name}-colleague", dialect, "sister", "acme-org", same, Kind.SAME_ORG
            yield f"{name}-conversation", dialect, "acme", "acme-org", other, Kind.CONVERSATION
            yield (
                f"{name}-first",
                dialect,
                "acme",
                "acme-org",
                answer(dialect, blob),
                Kind.CONVERSATION,
            )
            for forged in (
                bare(blob),
                MARK + blob,
                MARK + 43 * "A" + "." + bare(blob),
                blob[:-1] + "x",
            ):
                turns = ours[:1] + answer(dialect, forged)
                yield f"{name}-forged", dialect, "acme", "acme-org", turns, Kind.UNKNOWN


def test_no_replay_of_a_thousand_passes_as_own():
    tried = 0
    for name, dialect, account, org, turns, kind in replays():
        asked = request(dialect, turns)
        assert kinds(asked, dialect, account=account, org=org) == [kind], name
        dropped = orjson.dumps(upstream(asked, dialect, account=account, org=org))
        assert BLOB.encode() not in dropped, name
        tried += 1
    assert tried >= 900


def test_a_whole_foreign_conversation_is_foreign():
    for dialect in DIALECTS:
        ours, _ = conversation(dialect)
        found_kinds = kinds(request(dialect, ours), dialect, account="thief", org="thieves")
        assert found_kinds == 4 * [Kind.ACCOUNT]


def test_another_pepper_knows_nothing():
    ours, _ = conversation(MESSAGES)
    assert set(kinds(request(MESSAGES, ours), MESSAGES, sealing=Sealing(b"other"))) == {
        Kind.UNKNOWN
    }


def test_a_key_that_is_spelled_with_an_escape_is_read():
    wrapped = served(request(MESSAGES, user(MESSAGES, "Why?")), MESSAGES, account="victim")
    body = orjson.dumps(request(MESSAGES, user(MESSAGES, "Why?") + answer(MESSAGES, wrapped)))
    body = body.replace(b'"signature"', b'"\\u0073ignature"')
    things = found(Bound(SEALING, "thief", "t", MESSAGES, body))
    assert things is not None
    assert things.foreign == {Kind.ACCOUNT: 1}
    assert BLOB.encode() not in things.opened(DROP)[0]


def test_a_blob_that_was_wrapped_again_is_unwrapped_once_where_it_is_own_and_wholly_where_it_is_not():
    asked = request(MESSAGES, user(MESSAGES, "Why?"))
    once = served(asked, MESSAGES, account="victim")
    nested = MARK + 43 * "A" + "." + once
    body = upstream(
        request(MESSAGES, user(MESSAGES, "Why?") + answer(MESSAGES, nested)), MESSAGES, PASS
    )
    assert body["messages"][1]["content"][0]["signature"] == BLOB


@settings(deadline=None, max_examples=300)
@given(
    st.one_of(st.text(), st.text("weir1.AB-_", min_size=1), st.just("weir1." + 200_000 * "A")),
    st.text(max_size=5),
)
def test_whatever_a_client_makes_up_is_unknown_and_raises_nothing(made, asked):
    seal = SEALING.seal("acme", "org")
    assert seal.unwrap(made, [seal.anchor(asked), ANYWHERE]).kind is Kind.UNKNOWN
    wrapped = seal.wrap("blob", seal.anchor(asked))
    assert seal.unwrap(MARK + made + wrapped, [seal.anchor(asked)]).kind is Kind.UNKNOWN


@settings(deadline=None)
@given(st.integers(0, 48), st.integers(1, 255))
def test_a_wrapping_that_was_changed_anywhere_is_unknown(place, change):
    seal = SEALING.seal("acme", "org")
    wrapped = seal.wrap(BLOB, seal.anchor("Why?"))
    letter = chr((ord(wrapped[place]) + change) % 256)
    made = wrapped[:place] + letter + wrapped[place + 1 :]
    assert seal.unwrap(made, [seal.anchor("Why?")]).kind is Kind.UNKNOWN


def test_a_wrapping_tells_nobody_without_the_key_what_was_asked():
    one, two = SEALING.seal("acme", "org"), Sealing(b"other").seal("acme", "org")
    assert one.anchor("Why?") != two.anchor("Why?")
    assert one.anchor("Why?") != SEALING.seal("other", "org").anchor("Why?")
    assert "key" not in repr(one)


# Dropping: an honest client sees no error of the provider's.


def test_a_block_goes_whole_and_with_nothing_else():
    turns = user(MESSAGES, "Why?") + answer(MESSAGES, "foreign") + user(MESSAGES, "And?")
    asked = request(MESSAGES, turns)
    things = found(bound(asked, MESSAGES))
    assert things is not None
    body, changes = things.opened(DROP)
    assert orjson.loads(body)["messages"][1]["content"] == [{"type": "text", "text": "So it is."}]
    assert changes == (Change("drop", "reasoning", "1"),)


def test_a_turn_that_was_nothing_but_thinking_goes_whole():
    thought = {"type": "redacted_thinking", "data": "foreign"}
    turns = [
        *user(MESSAGES, "Why?"),
        {"role": "assistant", "content": [thought]},
        *user(MESSAGES, "And?"),
    ]
    body = upstream(request(MESSAGES, turns), MESSAGES)
    assert body["messages"] == user(MESSAGES, "Why?") + user(MESSAGES, "And?")


def test_a_loop_of_tools_that_lost_its_thinking_goes_on_without_thinking():
    turns = user(MESSAGES, "Why?") + call(MESSAGES, "foreign", 1) + result(MESSAGES, 1)
    clears = {"edits": [{"type": "clear_thinking_20251015"}, {"type": "clear_tool_uses_20250919"}]}
    asked = request(
        MESSAGES,
        turns,
        thinking={"type": "enabled", "budget_tokens": 2000},
        context_management=clears,
    )
    things = found(bound(asked, MESSAGES))
    assert things is not None
    body, changes = things.opened(DROP)
    told = orjson.loads(body)
    assert "thinking" not in told
    assert told["context_management"] == {"edits": [{"type": "clear_tool_uses_20250919"}]}
    assert changes == (Change("drop", "reasoning", "1"), Change("clamp", "thinking", "enabled"))


def test_thinking_goes_on_where_no_loop_of_tools_is_under_way():
    turns = user(MESSAGES, "Why?") + call(MESSAGES, "foreign", 1) + result(MESSAGES, 1)
    turns += answer(MESSAGES, "foreign") + user(MESSAGES, "And?")
    told = upstream(request(MESSAGES, turns, thinking={"type": "adaptive"}), MESSAGES)
    assert told["thinking"] == {"type": "adaptive"}


def test_items_that_lost_their_reasoning_lose_the_id_that_asks_for_it():
    turns = user(RESPONSES, "Why?") + call(RESPONSES, "foreign", 1) + result(RESPONSES, 1)
    own = served(request(RESPONSES, turns), RESPONSES)
    turns += call(RESPONSES, own, 2)
    told = upstream(request(RESPONSES, turns), RESPONSES)["input"]
    assert [item.get("type") for item in told] == [
        None, "function_call", "function_call_output", "reasoning", "function_call",
    ]  # fmt: skip
    assert "id" not in told[1]
    assert told[4]["id"] == "fc_2"


def test_a_call_keeps_all_but_a_foreign_signature_of_its_thought():
    use = call(CHAT, "x", 1)[0]
    del use["reasoning_details"]
    use["tool_calls"][0]["extra_content"] = {"google": {"thought_signature": "foreign"}}
    told = upstream(request(CHAT, [*user(CHAT, "Why?"), use]), CHAT)
    assert told["messages"][1]["tool_calls"][0]["extra_content"] == {"google": {}}


def test_passing_lets_foreign_reasoning_go_without_our_wrapping():
    for dialect in DIALECTS:
        ours, theirs = conversation(dialect)
        told = upstream(request(dialect, ours), dialect, PASS, account="other", org="other")
        assert told == request(dialect, theirs)


def test_what_a_tool_is_given_is_no_seal():
    use = {"type": "tool_use", "id": "t", "name": "sign", "input": {"signature": "f(x)"}}
    turns = [*user(MESSAGES, "Why?"), {"role": "assistant", "content": [use]}]
    assert kinds(request(MESSAGES, turns), MESSAGES) == []


def test_what_was_asked_is_the_last_turn_that_is_not_the_assistant_s():
    turns = [*user(MESSAGES, "Why?"), {"role": "assistant", "content": "Because"}]
    assert asked_last(MESSAGES, request(MESSAGES, turns)) == "Why?"
    assert asked_last(RESPONSES, {"input": []}) == ""


# Edits.

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


def paths(value: object, before=()):
    yield from ([before] if before else [])
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for name, inner in items:
        yield from paths(inner, (*before, name))


def changed(value: object, edits: dict, before=()):
    if isinstance(value, dict):
        kept = {
            name: each
            for name, each in value.items()
            if edits.get((*before, name), 0) is not REMOVED
        }
        return {
            name: changed(each, edits, (*before, name))
            if (*before, name) not in edits
            else edits[(*before, name)]
            for name, each in kept.items()
        }
    if isinstance(value, list):
        return [
            edits[(*before, place)]
            if (*before, place) in edits
            else changed(each, edits, (*before, place))
            for place, each in enumerate(value)
            if edits.get((*before, place), 0) is not REMOVED
        ]
    return value


@settings(deadline=None)
@given(
    st.data(),
    st.dictionaries(st.text(max_size=3), JSON, max_size=5),
    st.sampled_from([0, orjson.OPT_INDENT_2]),
)
def test_edits_do_to_the_bytes_what_they_do_to_the_value(data, value, layout):
    every = list(paths(value))
    chosen = data.draw(st.lists(st.sampled_from(every), unique=True, max_size=6)) if every else []
    edits = {path: data.draw(st.none() | st.text(max_size=3)) for path in chosen}
    text = b" " + orjson.dumps(value, option=layout)
    assert orjson.loads(edited(text, edits)) == changed(value, edits)

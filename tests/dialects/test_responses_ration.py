"""A ration meets streams that are not as one expects: it never leaks, and always ends them."""

from __future__ import annotations

import json

import pytest

from proxy.core.errors import UpstreamGarbageError
from proxy.core.facts import RequestFacts
from proxy.core.shape import Shape
from proxy.dialects import openai_responses
from proxy.dialects.arriving import MAX_JSON
from proxy.dialects.openai_response_shaped_stream import MAX_HELD
from proxy.dialects.sse import MAX_EVENT
from proxy.dialects.tokens import TokenRules

WORDS = TokenRules("words")
RESPONSE = {"id": "resp_1", "object": "response", "status": "in_progress", "output": []}
CREATED = {"type": "response.created", "response": RESPONSE}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}  # fmt: skip
ADDED = {"type": "response.output_item.added", "output_index": 0, "item": MESSAGE}
AT = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
PART = {"type": "response.content_part.added", **AT, "part": {"type": "output_text", "text": "", "annotations": []}}  # fmt: skip
CALL = {"id": "fc_1", "type": "function_call", "call_id": "c", "name": "n1", "arguments": ""}
CALLED = {"type": "response.output_item.added", "output_index": 0, "item": CALL}


def delta(text, **at):
    return {"type": "response.output_text.delta", **AT, **at, "delta": text, "logprobs": []}


def arguments(text):
    return {"type": "response.function_call_arguments.delta", "item_id": "fc_1", "output_index": 0, "delta": text}  # fmt: skip


def ended(*output, kind="completed"):
    return {
        "type": f"response.{kind}",
        "response": RESPONSE | {"status": kind, "output": list(output)},
    }


def sse(*events):
    return b"".join(
        b"event: %b\ndata: %b\n\n"
        % (told.get("type", "x").encode(), json.dumps({"sequence_number": n} | told).encode())
        for n, told in enumerate(events)
    )


def reader_for(most, content_type="text/event-stream"):
    facts = RequestFacts("openai.responses", "m", stream=True)
    return openai_responses.answer(facts, WORDS, content_type, 200, Shape(truncate=most))


def run(most, *events):
    """Types and contents of what the client gets, and the reader."""
    reader = reader_for(most)
    out = reader.feed(sse(*events)) + reader.end()
    told = [json.loads(event.partition("data: ")[2]) for event in out.decode().split("\n\n")[:-1]]
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    return told, reader


def kinds(told):
    return [event["type"].removeprefix("response.") for event in told]


def test_no_item_begins_when_nothing_is_left_for_it():
    second = ADDED | {"output_index": 1, "item": MESSAGE | {"id": "msg_2"}}
    done = {"type": "response.output_item.done", "output_index": 0, "item": MESSAGE | {"content": [{"type": "output_text", "text": "a b"}]}}  # fmt: skip
    told, reader = run(
        2, CREATED, ADDED, PART, delta("a b"), done, second, delta("c", output_index=1)
    )
    assert kinds(told) == ["created", "output_item.added", "content_part.added", "output_text.delta", "output_item.done", "incomplete"]  # fmt: skip
    assert [item["id"] for item in told[-1]["response"]["output"]] == ["msg_1"]
    assert reader.cut


@pytest.mark.parametrize(("most", "given"), [(2, True), (1, False)])
def test_a_call_that_the_provider_left_half_done_is_still_given_whole_or_not_at_all(most, given):
    half = CALL | {"arguments": '{"a'}
    told, reader = run(most, CREATED, CALLED, arguments('{"a'), ended(half, kind="incomplete"))
    assert ('{"a' in [event.get("delta") for event in told]) is given
    assert told[-1]["response"]["output"] == ([half] if given else [])
    assert (reader.cut, kinds(told)[-1]) == (not given, "incomplete")


def test_a_call_is_dropped_as_soon_as_it_cannot_fit():
    reader = reader_for(3)
    out = reader.feed(sse(CREATED, CALLED, arguments("1 2 3 4 5")))
    assert reader.cut
    assert b"1 2" not in out
    assert b"n1" not in out


def test_what_is_held_is_bounded_in_bytes():
    image = {"type": "response.output_item.added", "output_index": 0, "item": {"id": "ig", "type": "image_generation_call", "status": "in_progress"}}  # fmt: skip
    partial = {"type": "response.image_generation_call.partial_image", "output_index": 0, "partial_image_b64": "A" * (MAX_EVENT - 1_000)}  # fmt: skip
    reader = reader_for(100)
    reader.feed(sse(CREATED, image))
    for _ in range(MAX_HELD // MAX_EVENT):
        assert reader.feed(sse(partial)) == b""
    assert b"response.incomplete" in reader.feed(sse(partial))
    assert reader.cut


def test_an_image_that_is_small_enough_passes_with_all_of_its_events():
    item = {"id": "ig", "type": "image_generation_call", "status": "completed", "result": "AAAA"}
    told, reader = run(
        1,
        CREATED,
        {"type": "response.output_item.added", "output_index": 0, "item": item | {"result": None}},
        {
            "type": "response.image_generation_call.partial_image",
            "output_index": 0,
            "partial_image_b64": "AA",
        },
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        ended(item),
    )
    assert kinds(told)[2] == "image_generation_call.partial_image"
    assert (reader.cut, reader.complete) == (False, True)


@pytest.mark.parametrize(("most", "cut"), [(4, True), (5, False)])
def test_a_tool_that_is_not_known_is_weighed_by_all_that_it_says(most, cut):
    item = {"id": "x", "type": "shell_call", "action": {"commands": ["a b"]}}
    told, reader = run(
        most,
        CREATED,
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": item | {"action": {"commands": []}},
        },
        {
            "type": "response.shell_call_command.delta",
            "output_index": 0,
            "command_index": 0,
            "delta": "a b",
        },
        {
            "type": "response.shell_call_command.done",
            "output_index": 0,
            "command_index": 0,
            "command": "a b",
        },
        {"type": "response.shell_call_mood.delta", "output_index": 0, "delta": "c d"},
        {"type": "response.shell_call_note", "output_index": 0, "note": "e"},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        ended(item),
    )
    assert (reader.cut, len(told)) == (cut, 2 if cut else 8)


def test_events_of_no_item_pass_only_if_they_say_nothing():
    told, _ = run(
        9,
        CREATED,
        {"type": "response.heartbeat", "n": 1},
        {"type": "response.gossip", "text": "a b"},
        delta("a b", output_index=7),
        ADDED,
        PART,
        {"type": "response.mood", "output_index": 0, "mood": "a"},
        ended(),
    )
    assert kinds(told) == ["created", "heartbeat", "output_item.added", "content_part.added", "mood", "completed"]  # fmt: skip


def test_an_unknown_event_of_an_item_ends_the_answer_where_it_does_not_fit():
    told, reader = run(2, CREATED, ADDED, PART, {"type": "response.mood", "output_index": 0, "mood": "a b c"})  # fmt: skip
    assert kinds(told)[-4:] == ["output_text.done", "content_part.done", "output_item.done", "incomplete"]  # fmt: skip
    assert (reader.cut, reader.usage.relayed) == (True, 0)


def test_annotations_that_were_told_are_in_the_ending():
    cite = {"type": "url_citation", "start_index": 0, "end_index": 1, "title": "t", "url": "u"}
    note = {"type": "response.output_text.annotation.added", **AT, "annotation_index": 0}
    told, _ = run(
        2, CREATED, ADDED, PART, delta("a b"), note | {"annotation": cite},
        note | {"annotation": cite | {"end_index": 40}}, delta(" c"),
    )  # fmt: skip
    assert kinds(told).count("output_text.annotation.added") == 1
    (part,) = told[-1]["response"]["output"][0]["content"]
    assert (part["text"], part["annotations"]) == ("a b", [cite])


def test_text_without_a_part_is_cut_and_ended_all_the_same():
    told, _ = run(1, CREATED, ADDED, delta("a b"))
    assert kinds(told)[2:] == ["output_text.delta", "output_text.done", "content_part.done", "output_item.done", "incomplete"]  # fmt: skip
    assert told[-1]["response"]["output"][0]["content"] == [{"type": "output_text", "text": "a"}]


def test_parts_that_begin_or_end_with_more_text_than_their_deltas_are_cut():
    full = PART | {"part": {"type": "output_text", "text": "a b", "annotations": []}}
    for last in (full, full | {"type": "response.content_part.done"}):
        told, reader = run(1, CREATED, ADDED, last)
        assert kinds(told)[-2:] == ["output_item.done", "incomplete"]
        assert '"a b"' not in json.dumps(told)
        assert reader.usage.relayed == 1
    text_done = {"type": "response.output_text.done", **AT, "text": "a b", "logprobs": []}
    told, _ = run(1, CREATED, ADDED, PART, text_done)
    assert [event["text"] for event in told if event["type"] == text_done["type"]] == ["a"]


def test_what_lifecycle_events_repeat_is_taken_out():
    more = RESPONSE | {"output": [MESSAGE], "output_text": "leak"}
    told, _ = run(
        1, CREATED | {"response": more}, {"type": "response.in_progress", "response": more}
    )
    assert [event["response"]["output"] for event in told[:2]] == [[], []]
    assert "leak" not in json.dumps(told)


def test_indexes_stay_dense_where_the_provider_leaves_gaps():
    item = MESSAGE | {"content": [{"type": "output_text", "text": "a b c"}]}
    second = {
        "type": "response.output_item.added",
        "output_index": 3,
        "item": item | {"id": "msg_2"},
    }
    told, reader = run(
        4,
        CREATED,
        ADDED | {"output_index": 2, "item": item},
        second,
        delta("x y", output_index=3),
        PART | {"output_index": 2},
        delta("z z z", output_index=2),
    )
    assert {event["output_index"] for event in told if "output_index" in event} == {0, 1}
    assert [
        part["text"] for item in told[-1]["response"]["output"] for part in item["content"]
    ] == ["z z", "x y"]
    assert reader.cut


def test_comments_and_the_mark_of_the_end_pass_a_ration():
    reader = reader_for(1)
    stream = (
        b": ping\n\n"
        + sse(CREATED)
        + b": ping\n\n"
        + sse(CREATED, ended()).partition(b"\n\n")[2]
        + b"data: [DONE]\n\n"
    )
    assert reader.feed(stream) + reader.end() == stream


def test_odd_members_of_items_and_events_are_passed_over():
    told, _ = run(
        9, CREATED, ADDED | {"item": 5}, ADDED, PART | {"part": 5}, delta(5),
        {"type": "response.completed"},
    )  # fmt: skip
    assert kinds(told) == ["created", "output_item.added", "completed"]


def test_a_terminal_item_that_says_more_than_was_held_is_not_believed():
    whole = CALL | {"arguments": "1"}
    done = {"type": "response.output_item.done", "output_index": 0, "item": whole}
    told, reader = run(
        9, CREATED, CALLED, arguments("1"), done, ended(whole | {"arguments": "1 2 3"})
    )
    assert told[-1]["response"]["output"] == [whole]
    assert reader.usage.relayed == 2


@pytest.mark.parametrize("most", [1, 10**6])
def test_a_broken_stream_gives_nothing_of_what_was_held(most):
    reader = reader_for(most)
    reader.feed(sse(CREATED, CALLED))
    last = reader.broken("m", "upstream.reset")
    assert b"n1" not in last
    assert json.loads(last.partition(b"data: ")[2])["sequence_number"] == 1


def test_endless_things_are_garbage():
    reader = reader_for(1)
    with pytest.raises(UpstreamGarbageError):
        reader.feed(b"data: " + b"x" * MAX_EVENT)
    for shape in (Shape(), Shape(truncate=1)):
        reader = openai_responses.answer(
            RequestFacts("d", "m"), WORDS, "application/json", 200, shape
        )
        for _ in range(MAX_JSON // MAX_EVENT):
            reader.feed(b"x" * MAX_EVENT)
        with pytest.raises(UpstreamGarbageError):
            reader.feed(b"x")
    many = [
        {"type": "response.output_text.delta", "output_index": n, "delta": "a"}
        for n in range(10_001)
    ]
    reader = openai_responses.answer(
        RequestFacts("d", "m"), WORDS, "text/event-stream", 200, Shape()
    )
    with pytest.raises(UpstreamGarbageError):
        reader.feed(sse(*many))


def test_the_end_may_lack_its_empty_line():
    whole = sse(CREATED, ended())
    reader = reader_for(1)
    out = reader.feed(whole[:-1])
    assert out + reader.end() == whole[:-1] + b"\n\n"
    assert reader.complete
    reader = reader_for(1)
    reader.feed(sse(CREATED) + b"data: {nope")
    assert b"event: error" in reader.end()

import asyncio
import json

import openai
import pytest

from proxy.standin.responses_stored import Store


def asked(content="[[tokens=6]] a b", **more):
    return {"model": "standin", "input": content, **more}


async def all_of(stream):
    return [event async for event in stream]


async def test_a_response_is_kept_unless_it_is_not_to_be(client):
    made = await client.responses.create(**asked())
    assert await client.responses.retrieve(made.id) == made
    streamed = await all_of(await client.responses.create(**asked("other"), stream=True))
    last = streamed[-1].response
    assert await client.responses.retrieve(last.id) == last
    gone = await client.responses.create(**asked("third"), store=False)
    with pytest.raises(openai.NotFoundError, match="not found"):
        await client.responses.retrieve(gone.id)


async def test_a_response_that_broke_off_is_not_kept(client):
    streamed = await client.responses.create(**asked("[[tokens=9 garbage=3]]"), stream=True)
    first = await anext(aiter(streamed))
    await streamed.close()
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(first.response.id)


async def test_events_are_replayed_from_where_one_was(client):
    streamed = await all_of(await client.responses.create(**asked(), stream=True))
    identity = streamed[-1].response.id
    for after in (None, 0, 5, len(streamed) - 2):
        more = {} if after is None else {"starting_after": after}
        again = await all_of(await client.responses.retrieve(identity, stream=True, **more))
        assert again == streamed[0 if after is None else after + 1 :]
    async with client.responses.stream(response_id=identity) as stream:
        assert (await stream.get_final_response()).output_text


async def test_what_is_read_again_is_written_again_but_not_made_again(client, standin, ended):
    made = await client.responses.create(**asked())
    await client.responses.retrieve(made.id)
    assert ((last := await ended())["generated"], last["written"]) == (0, 6)
    await all_of(await client.responses.retrieve(made.id, stream=True, starting_after=5))
    assert ((last := await ended())["generated"], last["written"]) == (0, 4)
    assert standin.recorder.stats()["tokens"] == {
        "prompt": 3, "generated": 6, "reasoning": 0, "written": 16,
    }  # fmt: skip


async def test_a_response_can_be_deleted_once(client):
    made = await client.responses.create(**asked())
    await client.responses.delete(made.id)
    for act in (client.responses.retrieve, client.responses.delete, client.responses.cancel):
        with pytest.raises(openai.NotFoundError):
            await act(made.id)


async def test_what_was_sent_can_be_listed(client):
    said = [{"role": "user", "content": f"number {index}"} for index in range(5)]
    made = await client.responses.create(**asked(said))
    listed = [item async for item in client.responses.input_items.list(made.id, order="asc")]
    assert [item.content[0].text for item in listed] == [each["content"] for each in said]
    page = await client.responses.input_items.list(made.id, limit=2)
    assert [item.content[0].text for item in page.data] == ["number 4", "number 3"]
    assert page.has_more
    assert [item async for item in page] == listed[::-1]
    plain = await client.responses.create(**asked("just text"))
    (only,) = (await client.responses.input_items.list(plain.id)).data
    assert (only.type, only.role, only.content[0].text) == ("message", "user", "just text")
    with pytest.raises(openai.NotFoundError):
        await client.responses.input_items.list(made.id, after="msg_unknown")


async def test_a_next_response_costs_what_was_before_it(client):
    first = await client.responses.create(
        **asked("[[tokens=6 reasoning=9]] one", instructions="not carried on")
    )
    assert first.usage.input_tokens == 6
    second = await client.responses.create(
        **asked("[[tokens=2]] two"), previous_response_id=first.id
    )
    assert second.usage.input_tokens == 3 + 6 + 2
    third = await client.responses.create(**asked("x"), previous_response_id=second.id)
    assert third.usage.input_tokens == 11 + 2 + 1
    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.create(**asked(), previous_response_id="resp_unknown")
    assert caught.value.code == "previous_response_not_found"
    assert caught.value.param == "previous_response_id"


async def test_an_item_may_be_referred_to(client):
    first = await client.responses.create(**asked())
    items = [{"type": "item_reference", "id": first.output[0].id}, {"role": "user", "content": "x"}]
    assert (await client.responses.create(model="m", input=items)).usage.input_tokens == 6 + 1
    items[0]["id"] = "msg_unknown"
    with pytest.raises(openai.NotFoundError, match="Item with id"):
        await client.responses.create(model="m", input=items)


async def until(client, identity, status):
    seen = []
    async with asyncio.timeout(5):
        while not seen or seen[-1].status != status:
            seen.append(await client.responses.retrieve(identity))
    return seen


async def test_the_background_takes_its_time(client, ended):
    made = await client.responses.create(**asked("[[tokens=5 pace=20ms]]"), background=True)
    assert (made.status, made.output, made.usage) == ("queued", [], None)
    entry = await ended()
    assert (entry["generated"], entry["written"], entry["prompt_tokens"]) == (5, 0, 2)
    seen = await until(client, made.id, "completed")
    statuses = [each.status for each in seen]
    assert list(dict.fromkeys(statuses)) in (
        ["queued", "in_progress", "completed"],
        ["in_progress", "completed"],
    )
    assert all(each.output == [] and each.usage is None for each in seen[:-1])
    assert seen[-1].usage.output_tokens == 5 == len(seen[-1].output_text.split())
    assert await client.responses.cancel(made.id) == seen[-1]


async def test_the_background_can_fail_and_be_cut(client):
    made = await client.responses.create(**asked("[[tokens=5 error_at=2]]"), background=True)
    assert (await until(client, made.id, "failed"))[-1].error.code == "server_error"
    made = await client.responses.create(
        **asked("[[tokens=50]]"), background=True, max_output_tokens=9
    )
    seen = await until(client, made.id, "incomplete")
    assert seen[-1].incomplete_details.reason == "max_output_tokens"


async def test_the_background_streams_and_can_be_cancelled_by_another(client):
    body = asked("[[tokens=500 pace=10ms]]", background=True)
    stream = await client.responses.create(**body, stream=True)
    seen = []
    async for event in stream:
        seen.append(event)
        if len(seen) == 8:
            cancelled = await client.responses.cancel(seen[0].response.id)
            assert (cancelled.status, cancelled.output) == ("cancelled", [])
    assert [event.type for event in seen[:3]] == [
        "response.created", "response.queued", "response.in_progress",
    ]  # fmt: skip
    assert seen[-1].type == "response.cancelled"
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    assert len(seen) < 100
    again = await client.responses.retrieve(seen[0].response.id)
    assert again.status == "cancelled"
    with pytest.raises(openai.BadRequestError, match="synchronous"):
        await client.responses.cancel((await client.responses.create(**asked())).id)


async def test_a_background_stream_goes_on_without_its_reader_and_is_joined_later(client):
    body = asked("[[tokens=6 pace=15ms]]", background=True)
    stream = await client.responses.create(**body, stream=True)
    first = await anext(aiter(stream))
    await stream.close()
    joined = await all_of(await client.responses.retrieve(first.response.id, stream=True))
    assert joined[-1].type == "response.completed"
    assert "".join(event.delta for event in joined if event.type.endswith("delta")) == (
        joined[-1].response.output_text
    )
    assert (await client.responses.retrieve(first.response.id)).status == "completed"


async def test_a_replay_breaks_as_it_is_told_to(http, client):
    made = await client.responses.create(**asked())
    path = f"/v1/responses/{made.id}"
    headers = {"x-standin": "error_at=2"}
    async with http.get(path, params={"stream": "true"}, headers=headers) as answer:
        events = (await answer.text()).removesuffix("\n\n").split("\n\n")
    told = [json.loads(event.split("data: ")[1]) for event in events]
    assert [each["type"] for each in told[-2:]] == ["error", "response.failed"]
    assert sum(each["type"] == "response.output_text.delta" for each in told) == 2
    async with http.get(path, headers={"x-standin": "error=503"}) as answer:
        assert answer.status == 503


async def test_what_is_kept_is_bounded(monkeypatch, client):
    monkeypatch.setattr("proxy.standin.responses_stored.MOST", 2)
    made = [await client.responses.create(**asked(f"number {index}")) for index in range(3)]
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(made[0].id)
    for each in made[1:]:
        assert (await client.responses.retrieve(each.id)).id == each.id


def test_an_empty_store_has_nothing_to_forget():
    store = Store()
    assert not store.forget("resp_unknown")
    assert store.find("resp_unknown") is None
    assert store.item("msg_unknown") is None

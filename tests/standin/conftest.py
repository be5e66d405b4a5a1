"""A stand-in on a real loopback port, and the official clients that talk to it."""

import asyncio

import aiohttp
import anthropic
import openai
import pytest

from proxy.standin.server import running


@pytest.fixture
async def standin():
    async with running(record=True) as made:
        yield made


@pytest.fixture
async def client(standin):
    async with openai.AsyncOpenAI(
        base_url=f"{standin.url}/v1", api_key="sk-canary", max_retries=0, timeout=10
    ) as made:
        yield made


@pytest.fixture
async def claude(standin):
    async with anthropic.AsyncAnthropic(
        base_url=standin.url, api_key="sk-canary", max_retries=0, timeout=10
    ) as made:
        yield made


@pytest.fixture
async def http(standin):
    async with aiohttp.ClientSession(standin.url) as made:
        yield made


@pytest.fixture
def ended(standin):
    """Return the last request once nothing runs any more."""

    async def last():
        async with asyncio.timeout(5):
            while standin.recorder.stats()["active"]:
                await asyncio.sleep(0.005)
        return standin.recorder.stats()["recent"][-1]

    return last

"""The first upstream that serves dialect and model is taken."""

import pytest

from proxy.core.errors import ModelUnknownError
from proxy.settings.schema import UpstreamSettings
from proxy.upstream.routes import upstreams


def made(name, **settings):
    values = {"name": name, "url": f"http://{name}.example/v1", **settings}
    return UpstreamSettings.model_validate(values)


ROUTES = upstreams(
    [
        made("mini", models=["*-mini", "small-?"]),
        made("claude", dialects=["anthropic.*"]),
        made("frontier", models=["frontier-*"], dialects=["openai.chat"]),
        made("never", models=[]),
    ]
)


@pytest.mark.parametrize(
    ("dialect", "model", "expected"),
    [
        ("openai.chat",        "gpt-mini",        "mini"),
        ("openai.chat",        "small-1",         "mini"),
        ("anthropic.messages", "small-1",         "mini"),
        ("anthropic.messages", "anything",        "claude"),
        ("openai.chat",        "frontier-1",      "frontier"),
        ("openai.models",      "",                "mini"),
        ("openai.chat",        "small-10",        None),
        ("openai.chat",        "GPT-MINI",        None),
        ("openai.chat",        "my-frontier-1",   None),
        ("openai.embeddings",  "frontier-1",      None),
        ("openai.chat",        "frontier-1\n",    "frontier"),
        ("openai.chat",        "other",           None),
    ],
)  # fmt: skip
def test_globs_choose_in_order(dialect, model, expected):
    if expected is None:
        with pytest.raises(ModelUnknownError):
            ROUTES.choose(dialect, model)
    else:
        assert ROUTES.choose(dialect, model).name == expected


def test_the_stand_ins_address_comes_from_whoever_started_it():
    routes = upstreams([UpstreamSettings(name="standin", url="standin")], "http://127.0.0.1:5000")
    chosen = routes.choose("openai.chat", "any")
    assert str(chosen.address("/v1/models")) == "http://127.0.0.1:5000/v1/models"

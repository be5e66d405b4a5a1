"""Of which requests a policy speaks."""

import pytest

from proxy.core.facts import RequestFacts
from proxy.core.principal import Principal
from proxy.policy.match import condition
from proxy.policy.words import WhenText

PRINCIPAL = Principal(
    "key_1", "acme-web", "acme", plan="team-eu", verified=True, purpose="eval",
    attributes={"tier": "gold", "empty": ""},
)  # fmt: skip
FACTS = RequestFacts(
    "openai.chat", model="gpt-4o", stream=True, prompt_tokens=1000, output_tokens=50
)
ADDRESS = "203.0.113.9"

TABLE = [
    # when                                                   does it speak of this request?
    ({"plan": "team-eu"},                                    True),
    ({"plan": ["free", "team-*"]},                           True),
    ({"plan": ["free", "paid"]},                             False),
    ({"plan": "TEAM-EU"},                                    False),
    ({"plan": "team"},                                       False),
    ({"account": "acme-?eb", "org": "acme"},                 True),
    ({"account": "acme-web", "org": "other"},                False),
    ({"key": "key_[0-9]"},                                   True),
    ({"model": ["gpt-*"], "stream": True},                   True),
    ({"model": ["gpt-*"], "stream": False},                  False),
    ({"verified": True},                                     True),
    ({"verified": False},                                    False),
    ({"purpose": "eval"},                                    True),
    ({"purpose": ""},                                        False),
    ({"ip": "203.0.113.0/24"},                               True),
    ({"ip": ["10.0.0.0/8", "203.0.113.9"]},                  True),
    ({"ip": ["10.0.0.0/8", "2001:db8::/32"]},                False),
    ({"attributes": {"tier": ["gold", "silver"]}},           True),
    ({"attributes": {"tier": "gold", "region": "*"}},        False),
    ({"attributes": {"empty": ""}},                          True),
    ({"prompt_tokens": {"above": 999}},                      True),
    ({"prompt_tokens": {"above": 1000}},                     False),
    ({"prompt_tokens": {"below": 1000}},                     False),
    ({"output_tokens": {"above": 49, "below": 51}},          True),
    ({"plan": "team-*", "verified": True, "ip": "203.0.113.0/24", "model": "o3"}, False),
]  # fmt: skip


@pytest.mark.parametrize(("when", "speaks"), TABLE)
def test_all_that_is_named_must_hold(when, speaks):
    assert condition(WhenText.model_validate(when))(PRINCIPAL, FACTS, ADDRESS) is speaks


def test_without_when_a_policy_speaks_of_every_request():
    assert condition(None)(PRINCIPAL, FACTS, "")


def test_an_unknown_address_is_in_no_network():
    assert not condition(WhenText(ip=["0.0.0.0/0", "::/0"]))(PRINCIPAL, FACTS, "")


def test_a_line_break_does_not_end_a_glob():
    principal = Principal("k", "acme\nevil", "acme")
    assert not condition(WhenText(account=["acme"]))(principal, FACTS, ADDRESS)
    assert not condition(WhenText(account=["a*e"]))(principal, FACTS, ADDRESS)

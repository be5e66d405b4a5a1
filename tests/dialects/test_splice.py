"""One member changes; the JSON says so, and every other byte stays."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dialects.splice import members, remove_member, set_member

NAMES = st.sampled_from(["usage", "a", "b", 'q"', "\\", "é", "", "usage "])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet='a"\\{}[],: é\n', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=5)
STYLES = st.sampled_from(
    [
        {},
        {"separators": (",", ":")},
        {"indent": 1},
        {"indent": "\t\r", "separators": (" , ", " : ")},
        {"ensure_ascii": False},
    ]
)


@given(OBJECTS, NAMES, STYLES)
def test_removing_a_member_leaves_the_rest(value, name, style):
    text = json.dumps(value, **style).encode()
    left = {key: item for key, item in value.items() if key != name}
    assert json.loads(remove_member(text, name)) == left
    assert list(json.loads(remove_member(text, name))) == list(left)


@given(OBJECTS, NAMES, STYLES, VALUES)
def test_setting_a_member_leaves_the_rest(value, name, style, new):
    text = json.dumps(value, **style).encode()
    assert json.loads(set_member(text, name, json.dumps(new).encode())) == value | {name: new}


@given(OBJECTS, STYLES)
def test_the_members_are_found_where_they_stand(value, style):
    text = json.dumps(value, **style).encode()
    found = [(member.name, json.loads(text[member.value : member.end])) for member in members(text)]
    assert found == list(value.items())


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (b'{"usage":null}', b"{}"),
        (b' { "usage" : null } ', b" {  } "),
        (b'{"usage":null,"a":1}', b'{"a":1}'),
        (b'{"a":1,"usage":null}', b'{"a":1}'),
        (b'{"a":1 , "usage":null }', b'{"a":1 }'),
        (b'{"a":{"usage":1},"usage":null}', b'{"a":{"usage":1}}'),
        (b'{"us\\u0061ge":1,"a":2}', b'{"a":2}'),
        (b'{"usage":1,"a":2,"usage":3}', b'{"a":2}'),
        (b'{"usage":1,"usage":3}', b"{}"),
        (b'{"a":"\\"usage\\":null,"}', b'{"a":"\\"usage\\":null,"}'),
    ],
)
def test_bytes_beside_the_removed_member_stay(text, left):
    assert remove_member(text, "usage") == left

import pytest

from proxy.core.errors import RequestError
from proxy.standin.directives import Directives, directives_of, header_of


@pytest.mark.parametrize(
    ("message", "header", "expected"),
    [
        ("hello",                                   "",             Directives()),
        ("[[tokens=200 pace=10ms]] hello",          "",             Directives(tokens=200, pace=10_000)),
        ("[[tokens=2]] and [[nodone]]",             "",             Directives(tokens=2, nodone=True)),
        ("[[tokens=2 nodone]]",                     "tokens=3",     Directives(tokens=3, nodone=True)),
        ("[[usage=none first=1s]]",                 "",             Directives(usage=False, first=1_000_000)),
        ("hello",                                   "error-at=4",   Directives(error_at=4)),
        ("[[show-reasoning reasoning=4]]",          "",             Directives(reasoning=4, show_reasoning=True)),
        ("[[1, 2], [3, 4]] and [[wiki link]] [[]]", "",             Directives()),
        ("x[[ ]]y",                                 "",             Directives()),
        ("[[pace=5ms first=0]]",                    "pace=0",       Directives()),
        ("",                                        "nodone=1",     Directives(nodone=True)),
    ],
)  # fmt: skip
def test_a_directive_is_read_and_a_header_wins(message, header, expected):
    assert directives_of(message, header) == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[[tokens=many]]",            "cannot read the directive 'tokens=many': give a number"),
        ("[[tokens=200001]]",          "cannot read the directive 'tokens=200001': give a number"),
        ("[[tokens=1 pcae=1ms]]",      "has no directive 'pcae'"),
        ("[[pace=10]]",                "cannot read the directive 'pace=10': cannot read '10' as a duration"),
        ("[[first=11m]]",              "ten minutes at most"),
        ("[[error=302]]",              "give 400 to 599, or 200"),
        ("[[usage=some]]",             "give usage=none"),
        ("[[nodone=never]]",           "it takes no value"),
    ],
)  # fmt: skip
def test_a_mistaken_directive_is_told(text, sentence):
    with pytest.raises(RequestError) as caught:
        directives_of(text)
    assert sentence in caught.value.message


def test_directives_stand_in_one_header_or_in_several():
    headers = {
        "X-Standin": "tokens=3 nodone",
        "x-standin-Error-At": "2",
        "X-Standinx": "no",
        "x-standin-nodone": "",
    }
    assert header_of(headers) == "tokens=3 nodone error-at=2 nodone"
    assert directives_of("", header_of(headers)) == Directives(tokens=3, nodone=True, error_at=2)

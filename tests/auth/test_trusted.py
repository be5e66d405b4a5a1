"""Whose address it is, behind proxies that are trusted and ones that are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.auth.trusted import normalised, parse_networks, peer_address
from proxy.core.errors import SettingsError

TRUSTED = parse_networks(["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"])
MANY = ", ".join(["10.0.0.1"] * 40)


@pytest.mark.parametrize(
    ("remote", "values", "peer"),
    [
        # nobody speaks for anybody
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["6.6.6.6"], "203.0.113.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        # the rightmost that no trusted network vouches for
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["6.6.6.6, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["6.6.6.6, 203.0.113.9, 10.2.3.4,192.0.2.1"], "203.0.113.9"),
        ("10.0.0.1", ["6.6.6.6", "203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9", "10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["6.6.6.6, 192.0.2.2, 10.1.1.1"], "192.0.2.2"),
        ("10.0.0.1", ["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
        # ways to write an address
        ("10.0.0.1", ["203.0.113.9:4711"], "203.0.113.9"),
        ("10.0.0.1", ["[2001:db9::1]:4711"], "2001:db9::1"),
        ("10.0.0.1", ["[2001:DB9:0:0::1]"], "2001:db9::1"),
        ("10.0.0.1", ["2001:db9::1"], "2001:db9::1"),
        ("10.0.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["6.6.6.6, [::ffff:10.0.0.7]:80"], "6.6.6.6"),
        ("10.0.0.1", ["\t203.0.113.9 "], "203.0.113.9"),
        ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("::ffff:203.0.113.9", ["6.6.6.6"], "203.0.113.9"),
        ("2001:db8::5", ["203.0.113.9"], "203.0.113.9"),
        ("fe80::1%eth0", [], "fe80::1"),
        # garbage ends the walk at the last good hop
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9,"], "10.0.0.1"),
        ("10.0.0.1", ["6.6.6.6, nonsense, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["6.6.6.6, 010.0.0.1"], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3"], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4.5"], "10.0.0.1"),
        ("10.0.0.1", ["256.1.1.1"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9:x"], "10.0.0.1"),
        ("10.0.0.1", ["[203.0.113.9]:80"], "10.0.0.1"),
        ("10.0.0.1", ["[2001:db9::1"], "10.0.0.1"),
        ("10.0.0.1", ["fe80::1%x"], "10.0.0.1"),
        ("10.0.0.1", ["٢٠٣.0.113.9"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9\n"], "10.0.0.1"),
        ("10.0.0.1", [f"6.6.6.6, {MANY}"], "10.0.0.1"),
        # no IP connection
        ("", ["6.6.6.6"], ""),
        ("unix", [], "unix"),
    ],
)  # fmt: skip
def test_the_peer_behind_x_forwarded_for(remote, values, peer):
    assert peer_address(remote, values, TRUSTED) == peer


@pytest.mark.parametrize("remote", ["203.0.113.9", "2001:db9::1"])
def test_without_trusted_networks_it_is_whoever_connected(remote):
    assert peer_address(remote, ["6.6.6.6"], ()) == remote


@pytest.mark.parametrize(
    ("values", "peer"),
    [
        (["for=203.0.113.9"], "203.0.113.9"),
        (["For=203.0.113.9;proto=https;by=10.0.0.1"], "203.0.113.9"),
        (['proto=http ; for="203.0.113.9:4711"'], "203.0.113.9"),
        (['for="[2001:db9::1]:4711"'], "2001:db9::1"),
        (["for=6.6.6.6, for=203.0.113.9, for=10.0.0.2"], "203.0.113.9"),
        (["for=6.6.6.6", "for=203.0.113.9"], "203.0.113.9"),
        # a quote left open by a stranger does not swallow what our proxy wrote
        (['for="6.6.6.6, for=203.0.113.9'], "203.0.113.9"),
        (['for="x, for="[2001:db9::1]:47"'], "2001:db9::1"),
        (["for=unknown"], "10.0.0.1"),
        (["for=_hidden"], "10.0.0.1"),
        (["proto=https"], "10.0.0.1"),
        (["203.0.113.9"], "10.0.0.1"),
        (["for=203.0.113.9;for=6.6.6.6"], "10.0.0.1"),
        (["for=[2001:db9::1]"], "2001:db9::1"),
        (["for="], "10.0.0.1"),
        (["for=203.0.113.9;"], "10.0.0.1"),
    ],
)
def test_the_peer_behind_forwarded(values, peer):
    assert peer_address("10.0.0.1", values, TRUSTED, rfc7239=True) == peer


@given(
    st.lists(st.text(alphabet="0123456789abcf.:[]%,;=\"' for", max_size=40), max_size=4),
    st.booleans(),
)
def test_any_header_gives_an_address_in_normal_form(values, rfc7239):
    peer = peer_address("10.0.0.1", values, TRUSTED, rfc7239=rfc7239)
    assert normalised(peer) == peer


@given(st.text(max_size=60), st.booleans())
def test_what_a_stranger_writes_never_matters_left_of_what_our_proxy_wrote(text, rfc7239):
    ours = "for=203.0.113.9" if rfc7239 else "203.0.113.9"
    values = [f"{text}, {ours}"]
    assert peer_address("10.0.0.1", values, TRUSTED, rfc7239=rfc7239) == "203.0.113.9"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("10.0.0.1/8", "'10.0.0.1/8' has bits set beyond its prefix (10.0.0.0/8 would do)"),
        ("10.0.0.0/33", "cannot read '10.0.0.0/33' as a network"),
        ("proxy.local", "cannot read 'proxy.local' as a network"),
        ("", "cannot read '' as a network"),
    ],
)
def test_each_network_that_is_none_has_its_sentence(text, sentence):
    with pytest.raises(SettingsError) as error:
        parse_networks(["10.0.0.0/8", text, "nope"])
    first, second = str(error.value).splitlines()
    assert sentence in first
    assert "'nope'" in second

"""Whose request it is, behind proxies: the rightmost address that no trusted network vouches for.

Anybody can write a forwarded header, so it is read from the right, and only as far as each hop was
written by a proxy that we trust. Pure.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import islice
from typing import TYPE_CHECKING

from proxy.core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Network = IPv4Network | IPv6Network
MOST_HOPS = 32

_NODE = re.compile(
    r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+)(?::[0-9]{1,5})?|([0-9A-Fa-f:.]+)"
)
_PAIR = re.compile(r"""[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)=("[^"\\]*"|[^"\\;, \t]+)[ \t]*""")


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Read networks and single addresses; SettingsError with a sentence for each that is none."""
    networks: list[Network] = []
    found: list[str] = []
    for text in texts:
        try:
            networks.append(ip_network(text))
        except ValueError:
            found.append(_mistake(text))
    if found:
        raise SettingsError("\n".join(found))
    return tuple(networks)


def _mistake(text: str) -> str:
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        return f"trusted_networks: cannot read {text!r} as a network (10.0.0.0/8, 2001:db8::/32)"
    return f"trusted_networks: {text!r} has bits set beyond its prefix ({meant} would do)"


def peer_address(
    remote: str,
    forwarded_for: Sequence[str],
    trusted: Sequence[Network],
    *,
    rfc7239: bool = False,
) -> str:
    """Return the address that a request counts for, in its normal form.

    remote:        address of the connection; '' (not an IP connection) is returned as it is
    forwarded_for: values of X-Forwarded-For, or of Forwarded with `rfc7239`, in their order
    trusted:       networks whose proxies add to that header

    What cannot be read ends the walk at the last good hop, and so do more than 32 hops.

    >>> peer_address("10.0.0.1", ["6.6.6.6, 203.0.113.9"], parse_networks(["10.0.0.0/8"]))
    '203.0.113.9'
    """
    if not trusted and ":" not in remote:
        return remote
    current = normalised(remote.partition("%")[0])
    if current is None:
        return remote
    if not trusted or not forwarded_for:
        return current
    for hop in islice(_hops(forwarded_for, rfc7239=rfc7239), MOST_HOPS):
        if not _is_within(current, trusted):
            return current
        if (further := normalised(hop)) is None:
            return current
        current = further
    return current


def normalised(node: str) -> str | None:
    """Return the address in '203.0.113.9:4711', '[2001:DB8::1]:80', '::ffff:203.0.113.9', or None.

    >>> normalised("[::FFFF:203.0.113.9]:4711")
    '203.0.113.9'
    """
    if (match := _NODE.fullmatch(node)) is None:
        return None
    try:
        address = ip_address(match[1] or match[2] or match[3])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address) if match[1] is None or address.version == 6 else None  # noqa: PLR2004


def _is_within(address: str, networks: Iterable[Network]) -> bool:
    parsed = ip_address(address)
    return any(parsed in network for network in networks)


def _hops(values: Sequence[str], *, rfc7239: bool) -> Iterator[str]:
    """Yield hops from the right. The node of a Forwarded element that has none is ''."""
    for value in reversed(values):
        # A node has no comma in it. Elements are cut at every comma, also within quotes, so that a
        # quote left open by a stranger cannot swallow what our own proxy wrote after it.
        for element in reversed(value.split(",")):
            yield _node(element) if rfc7239 else element.strip(" \t")


def _node(element: str) -> str:
    """Return the `for` of an element of a Forwarded header (RFC 7239, 4), '' if it has not one."""
    nodes: list[str] = []
    for pair in element.split(";"):
        if (match := _PAIR.fullmatch(pair)) is None:
            return ""
        if match[1].lower() == "for":
            nodes.append(match[2].strip('"'))
    return nodes[0] if len(nodes) == 1 else ""

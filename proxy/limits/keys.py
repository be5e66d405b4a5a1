"""The keys of buckets in the store.

`weir1:<env>:{<scope>:<len>:<subject>}:<len>:<policy>:<len>:<limit>:<kind>:<identity>[:<more>]`.
Every part that people choose has its length before it, so that no two buckets share a key. What
stands between the braces is the hash tag: all keys of one subject live on one node of a cluster.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from proxy.limits.buckets import KINDS, Budget, Distinct, Lease, Rate, Rolling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.limits.buckets import Bucket

VERSION = "weir1"


def bucket_key(
    env: str,
    scope: str,
    subject: str,
    policy: str,
    limit: str,
    bucket: Bucket,
    rest: Sequence[str] = (),
) -> tuple[str, str]:
    """Return the hash tag and the whole key of a bucket.

    rest: the other parts that it counts by, scope names and subjects in turn

    >>> bucket_key("default", "key", "k1", "free", "requests", Rate(60, 60_000_000, 60))
    ('key:2:k1', 'weir1:default:{key:2:k1}:4:free:8:requests:rate:60000000')
    """
    tag = f"{scope}:{_part(subject)}"
    more = "".join(f":{_part(part)}" for part in rest)
    kind = KINDS[type(bucket)]
    return tag, (
        f"{VERSION}:{env}:{{{tag}}}:{_part(policy)}:{_part(limit)}:{kind}:{_identity(bucket)}{more}"
    )


@lru_cache(maxsize=65_536)
def standing_key(env: str, account: str) -> tuple[str, str]:
    """Return the hash tag and the whole key of an account's standing.

    >>> standing_key("default", "acme")
    ('account:4:acme', 'weir1:default:{account:4:acme}:standing')
    """
    tag = f"account:{_part(account)}"
    return tag, f"{VERSION}:{env}:{{{tag}}}:standing"


@lru_cache(maxsize=65_536)
def profile_key(env: str, account: str) -> str:
    """Return the key of an account's profile.

    >>> profile_key("default", "acme")
    'weir1:default:{account:4:acme}:profile'
    """
    return f"{VERSION}:{env}:{{account:{_part(account)}}}:profile"


def due_keys(env: str, shard: int) -> tuple[str, str, str]:
    """Return the keys of the accounts that are due, claimed, and about to change; one tag.

    >>> due_keys("default", 3)[:2]
    ('weir1:default:{watch:3}:due', 'weir1:default:{watch:3}:claimed')
    """
    tag = f"{VERSION}:{env}:{{watch:{shard}}}"
    return f"{tag}:due", f"{tag}:claimed", f"{tag}:soon"


def object_key(env: str, identity: str) -> str:
    """Return the key of a stored object's claim; each object has a tag of its own.

    >>> object_key("default", "resp_1")
    'weir1:default:{object:6:resp_1}:claim'
    """
    return f"{VERSION}:{env}:{{object:{_part(identity)}}}:claim"


def _part(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        # A lone surrogate cannot be sent. The letter before its length keeps it apart.
        return f"s{_part(text.encode('utf-8', 'backslashreplace').decode())}"
    return f"{len(text)}:{text}"


def _identity(bucket: Bucket) -> str:
    """Return what makes stored state useless for another bucket of the same name."""
    match bucket:
        case Rate(period=period) | Rolling(period=period):
            return str(period)
        case Budget(window=window):
            return window.value
        case Lease():
            return ""
        case Distinct(period=period) as bucket:
            return f"{period}.{bucket.cells}"
    return str(bucket.half_life)

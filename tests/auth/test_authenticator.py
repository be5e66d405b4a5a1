"""Headers to principals: which headers count, and what is refused."""

import logging

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from proxy.auth.authenticator import HeaderAuthenticator
from proxy.auth.jwt import JwtSettings, TokenVerifier
from proxy.auth.keyindex import KeyIndex
from proxy.auth.keys import new_key
from proxy.auth.verifying import FixedKeys, VerifyingKey
from proxy.core.errors import (
    CredentialsError,
    CredentialsExpiredError,
    CredentialsMissingError,
    CredentialsRevokedError,
)

NOW = 1_800_000_000
SECOND = 1_000_000
SHARED = b"s" * 32


class House:
    """An index with keys of every state, and tokens."""

    def __init__(self, ring, path, pepper):
        self.now = NOW * SECOND
        ring._clock = lambda: self.now
        self.good = ring.issue("acme").secret
        self.other = ring.issue("beta").secret
        self.short = ring.issue("short", expires_in=60 * SECOND).secret
        old = ring.issue("rotated")
        self.old, self.new = old.secret, ring.rotate(old.id, 60 * SECOND).secret
        gone = ring.issue("gone")
        ring.revoke(gone.id)
        self.gone = gone.secret
        self.index = KeyIndex(path, pepper, print)
        self.index.load()
        settings = JwtSettings(
            issuer="i", audience=("weir",), algorithms=("HS256",), key_file=path,
        )  # fmt: skip
        keys = FixedKeys((VerifyingKey(None, frozenset({"HS256"}), SHARED),))
        self.tokens = TokenVerifier(settings, keys, lambda: self.now)
        claims = {"iss": "i", "aud": "weir", "sub": "token", "iat": NOW, "exp": NOW + 60}
        self.token = jwt.encode(claims, SHARED, "HS256")
        self.authenticator = HeaderAuthenticator(self.index, self.tokens, lambda: self.now)

    async def account(self, *headers, plain=False):
        given = dict(headers) if plain else CIMultiDictProxy(CIMultiDict(headers))
        return (await self.authenticator.authenticate(given)).account

    def filled(self, text):
        return text.format_map(vars(self))


@pytest.fixture
def house(ring, path, pepper):
    return House(ring, path, pepper)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    ("headers", "account"),
    [
        ([("Authorization", "Bearer {good}")], "acme"),
        ([("authorization", "bearer   {good} ")], "acme"),
        ([("AUTHORIZATION", "BEARER\t{good}")], "acme"),
        ([("x-api-key", "{good}")], "acme"),
        ([("X-Api-Key", " {other} ")], "beta"),
        ([("api-key", "{good}")], "acme"),
        ([("Authorization", "Bearer {good}"), ("x-api-key", "{good}")], "acme"),
        ([("Authorization", "Bearer"), ("api-key", "{good}")], "acme"),
        ([("Authorization", "Bearer {token}")], "token"),
        ([("x-api-key", "{token}")], "token"),
        ([("Authorization", "Bearer {old}")], "rotated"),
        ([("Authorization", "Bearer {new}")], "rotated"),
        ([("Authorization", "Bearer {short}")], "short"),
    ],
)
async def test_headers_that_say_who_sent_them(house, headers, account, plain):
    filled = [(name, house.filled(value)) for name, value in headers]
    assert await house.account(*filled, plain=plain) == account


STRANGER = new_key().secret
ENTIRELY, MISSING, REVOKED, EXPIRED = (
    CredentialsError, CredentialsMissingError, CredentialsRevokedError, CredentialsExpiredError,
)  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "error", "sentence"),
    [
        ([], MISSING, "no API key was sent"),
        ([("cookie", "{good}")], MISSING, "no API key was sent"),
        ([("Authorization", "")], ENTIRELY, "must be 'Bearer KEY'"),
        ([("Authorization", "Bearer ")], MISSING, "no API key was sent"),
        ([("x-api-key", " ")], MISSING, "no API key was sent"),
        ([("Authorization", "{good}")], ENTIRELY, "must be 'Bearer KEY'"),
        ([("Authorization", "Basic {good}")], ENTIRELY, "must be 'Bearer KEY'"),
        ([("Authorization", "Bearer {good} {good}")], ENTIRELY, "must be 'Bearer KEY'"),
        ([("Authorization", "Bearer{good}")], ENTIRELY, "must be 'Bearer KEY'"),
        (
            [("Authorization", "Bearer {good}"), ("authorization", "Bearer {good}")],
            ENTIRELY,
            "sent more than once",
        ),
        ([("x-api-key", "{good}"), ("X-API-KEY", "")], ENTIRELY, "sent more than once"),
        (
            [("Authorization", "Bearer {good}"), ("x-api-key", "{other}")],
            ENTIRELY,
            "more than one credential",
        ),
        ([("api-key", "{good}"), ("x-api-key", "{token}")], ENTIRELY, "more than one credential"),
        ([("x-api-key", STRANGER)], ENTIRELY, "is not known"),
        ([("x-api-key", STRANGER[:-1])], ENTIRELY, "incomplete or mistyped"),
        ([("x-api-key", "{good}x")], ENTIRELY, "incomplete or mistyped"),
        ([("x-api-key", "{good}, {good}")], ENTIRELY, "incomplete or mistyped"),
        ([("x-api-key", "weir_live_")], ENTIRELY, "incomplete or mistyped"),
        ([("x-api-key", "sk-proj-abc")], ENTIRELY, "is not known"),
        ([("x-api-key", "a.b")], ENTIRELY, "is not known"),
        ([("x-api-key", "a.b.c.d")], ENTIRELY, "is not known"),
        ([("x-api-key", "a.b.c")], ENTIRELY, "the token cannot be read"),
        ([("x-api-key", "x" * 100_000)], ENTIRELY, "is not known"),
        ([("x-api-key", "{gone}")], REVOKED, "was revoked"),
    ],
)
async def test_headers_that_do_not(house, headers, error, sentence, caplog):
    caplog.set_level(logging.DEBUG)
    filled = [(name, house.filled(value)) for name, value in headers]
    with pytest.raises(CredentialsError) as caught:
        await house.account(*filled)
    assert type(caught.value) is error
    assert sentence in str(caught.value)
    told = f"{caught.value!r} {caught.value.__context__!r} {caplog.text}"
    secrets = [house.good, house.other, house.gone, house.token, STRANGER[:-1]]
    assert not any(secret in told for secret in secrets)


async def test_a_header_with_an_empty_credential_counts_as_none_in_a_plain_mapping(house):
    with pytest.raises(CredentialsError, match="sent more than once"):
        await house.account(("x-api-key", house.good), ("X-Api-Key", house.good), plain=True)


@pytest.mark.parametrize("name", ["short", "old", "token"])
async def test_a_credential_ends_at_its_moment_and_not_before(house, name):
    leeway = 30 * SECOND if name == "token" else 0
    header = ("x-api-key", getattr(house, name))
    house.now = (NOW + 60) * SECOND + leeway - 1
    await house.account(header)
    house.now += 1
    with pytest.raises(CredentialsExpiredError):
        await house.account(header)


async def test_the_successor_of_a_rotated_key_outlives_its_grace(house):
    house.now += 10**12
    assert await house.account(("x-api-key", house.new)) == "rotated"


async def test_what_is_not_configured_is_not_known(house):
    for authenticator, secret in (
        (HeaderAuthenticator(None, house.tokens), house.good),
        (HeaderAuthenticator(house.index, None), house.token),
    ):
        with pytest.raises(CredentialsError, match="is not known"):
            await authenticator.authenticate({"x-api-key": secret})


def test_an_opaque_key_waits_for_nothing(house):
    coroutine = house.authenticator.authenticate({"Authorization": f"Bearer {house.good}"})
    with pytest.raises(StopIteration) as done:
        coroutine.send(None)
    assert done.value.value.account == "acme"


async def test_no_secret_is_in_any_repr_of_the_house(house, ring):
    shown = f"{house.index!r} {house.authenticator!r} {house.tokens!r} {ring!r} {ring.load()!r}"
    shown += repr(house.index.find(house.good)) + repr(house.index.records())
    assert not any(text in shown for text in (house.good, house.token, "p" * 64, "s" * 32))


names = st.sampled_from(["Authorization", "x-api-key", "API-KEY", "host"])


@given(st.lists(st.tuples(names, st.text(max_size=50) | st.just("Bearer a.b.c")), max_size=4))
async def test_any_headers_let_out_one_family_of_errors(headers):
    authenticator = HeaderAuthenticator(None, None)
    with pytest.raises(CredentialsError):
        await authenticator.authenticate(CIMultiDict(headers))

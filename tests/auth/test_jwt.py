"""Tokens: what is taken, and a gallery of what is not."""

import base64
import hashlib
import hmac
import json
import logging

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.auth.claims import ClaimNames, claim_names
from proxy.auth.jwt import CACHED_MOST, JwtSettings, TokenVerifier
from proxy.auth.verifying import FixedKeys, VerifyingKey, keys_of_file, keys_of_set
from proxy.core.errors import CredentialsError, CredentialsExpiredError, SettingsError

NOW = 1_800_000_000
SECOND = 1_000_000
PRIVATE = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
CURVE = ec.generate_private_key(ec.SECP256R1())
EDWARDS = ed25519.Ed25519PrivateKey.generate()
PEM = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
NAMES = claim_names(
    {
        "account": "sub", "org": "org", "plan": "https://example.com/plan", "verified": "ok",
        "purpose": "why", "key": "client_id", "attributes.region": "region",
    }
)  # fmt: skip
CLAIMS = {
    "iss": "https://issuer.example", "aud": "weir", "sub": "acme", "client_id": "client-7",
    "iat": NOW - 10, "exp": NOW + 600, "org": "umbrella", "https://example.com/plan": "paid",
    "ok": True, "why": "eval", "region": "eu",
}  # fmt: skip


class Clock:
    def __init__(self):
        self.now = NOW * SECOND

    def __call__(self):
        return self.now


def verifier(clock=None, keys=None, **changes):
    given = {
        "issuer": "https://issuer.example", "audience": ("weir", "weir2"),
        "algorithms": ("RS256",), "jwks_url": "https://issuer.example/keys", "claims": NAMES,
    }  # fmt: skip
    source = keys or FixedKeys((VerifyingKey("k1", frozenset({"RS256"}), PRIVATE.public_key()),))
    return TokenVerifier(JwtSettings(**{**given, **changes}), source, clock or Clock())


def signed(key=PRIVATE, algorithm="RS256", header=(), drop=(), **claims):
    payload = {name: value for name, value in {**CLAIMS, **claims}.items() if name not in drop}
    return jwt.encode(payload, key, algorithm=algorithm, headers={"kid": "k1", **dict(header)})


def encoded(value):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def hmac_signed(secret, header):
    text = f"{encoded(header)}.{encoded(CLAIMS)}"
    return f"{text}.{encoded(hmac.digest(secret, text.encode(), 'sha256'))}"


def replaced(token, part, text):
    parts = token.split(".")
    parts[part] = text
    return ".".join(parts)


async def test_a_good_token_becomes_the_principal_of_its_claims():
    principal = await verifier().verify(signed())
    assert (principal.key, principal.account, principal.org) == ("jwt:client-7", "acme", "umbrella")
    assert (principal.plan, principal.verified, principal.purpose) == ("paid", True, "eval")
    assert principal.attributes == {"region": "eu"}
    assert principal.expires == (NOW + 600) * SECOND


@pytest.mark.parametrize(
    "token",
    [
        signed(aud=["other", "weir2"]),
        signed(header={"typ": "at+jwt"}),
        signed(header={"typ": "application/at+JWT"}),
        signed(nbf=NOW + 29),
        signed(iat=NOW + 29),
        signed(exp=NOW - 29),
        signed(exp=NOW + 60.5),
        signed(drop=("org", "ok", "why", "region", "https://example.com/plan")),
        signed(region=7),
        signed(region=False),
        signed(region=None),
    ],
)
async def test_tokens_that_are_taken(token):
    assert (await verifier().verify(token)).account == "acme"


async def test_the_organisation_is_the_account_where_no_claim_says_so():
    assert (await verifier().verify(signed(drop=("org",)))).org == "acme"


KINDS = {"alg": "RS256", "typ": "JWT", "kid": "k1"}
READ, KIND = "the token cannot be read", "the token's signature is of a kind that is not accepted"
TYPE, KNOWN = (
    "the token is of a type that is not accepted",
    "is signed with a key that is not known",
)
WRONG, EXTENSION = "the token's signature is wrong", "asks for an extension"
LACKS, TIME = "lacks a claim that is required", "has a time that is"

GALLERY = {
    "unsigned": (f"{encoded({**KINDS, 'alg': 'none'})}.{encoded(CLAIMS)}.", KIND),
    "alg none with a signature": (replaced(signed(), 0, encoded({**KINDS, "alg": "none"})), KIND),
    "alg NoNe": (replaced(signed(), 0, encoded({**KINDS, "alg": "NoNe"})), KIND),
    "no alg": (replaced(signed(), 0, encoded({"typ": "JWT"})), KIND),
    "alg null": (replaced(signed(), 0, encoded({**KINDS, "alg": None})), KIND),
    "alg a list": (replaced(signed(), 0, encoded({**KINDS, "alg": ["RS256"]})), KIND),
    "public key as a secret": (hmac_signed(PEM, {**KINDS, "alg": "HS256"}), KIND),
    "public key as a secret, called RS256": (hmac_signed(PEM, KINDS), WRONG),
    "public key without its last newline": (hmac_signed(PEM.strip(), {**KINDS, "alg": "HS256"}), KIND),
    "another algorithm of the same key": (signed(algorithm="RS512"), KIND),
    "an elliptic key": (signed(key=CURVE, algorithm="ES256"), KIND),
    "kid a path": (signed(header={"kid": "../../etc/passwd"}), KNOWN),
    "kid the null device": (hmac_signed(b"", {**KINDS, "kid": "/dev/null"}), KNOWN),
    "kid a query": (signed(header={"kid": "x' UNION SELECT 'secret'; --"}), KNOWN),
    "kid a shell": (signed(header={"kid": "k1; cat /etc/passwd"}), KNOWN),
    "kid a URL": (signed(header={"kid": "http://evil.example/k"}), KNOWN),
    "kid a number": (replaced(signed(), 0, encoded({**KINDS, "kid": 1})), READ),
    "kid a list": (replaced(signed(), 0, encoded({**KINDS, "kid": ["k1"]})), READ),
    "expired": (signed(exp=NOW - 30), "the token has expired"),
    "long expired": (signed(exp=0), "the token has expired"),
    "not yet": (signed(nbf=NOW + 31), "the token is not valid yet"),
    "issued in the future": (signed(iat=NOW + 31), "the token is not valid yet"),
    "exp a text": (signed(exp=str(NOW + 60)), TIME),
    "exp a boolean": (signed(exp=True), TIME),
    "exp without end": (signed(exp=float("inf")), TIME),
    "exp no number": (signed(exp=float("nan")), TIME),
    "exp huge": (signed(exp=10**30), TIME),
    "exp with too many digits": (
        replaced(signed(), 1, encoded(b'{"exp":' + b"9" * 5000 + b"}")), WRONG,
    ),
    "nbf a list": (signed(nbf=[]), TIME),
    "for somebody else": (signed(aud="other"), "meant for somebody else"),
    "for a longer name": (signed(aud="weir-and-more"), "meant for somebody else"),
    "for nobody": (signed(aud=[]), LACKS),
    "aud an object": (signed(aud={"weir": 1}), "meant for somebody else"),
    "from somebody else": (signed(iss="https://issuer.example.evil"), "from somebody else"),
    "from a part of the name": (signed(iss="issuer"), "from somebody else"),
    "without exp": (signed(drop=("exp",)), LACKS),
    "without iat": (signed(drop=("iat",)), LACKS),
    "without sub": (signed(drop=("sub",)), LACKS),
    "without iss": (signed(drop=("iss",)), LACKS),
    "without aud": (signed(drop=("aud",)), LACKS),
    "without the key's claim": (signed(drop=("client_id",)), "claim for 'key' is missing"),
    "account empty": (signed(sub=""), "claim for 'account' is missing or no usable name"),
    "account a tag": (signed(sub="{acme}"), "claim for 'account'"),
    "plan a list": (signed(**{"https://example.com/plan": ["paid"]}), "claim for 'plan'"),
    "verified a text": (signed(ok="true"), "claim for 'verified' is not true or false"),
    "verified a number": (signed(ok=1), "claim for 'verified'"),
    "an attribute an object": (signed(region={}), "claim for attribute 'region'"),
    "an attribute too long": (signed(region="x" * 300), "claim for attribute 'region'"),
    "typ of another kind": (signed(header={"typ": "dpop+jwt"}), TYPE),
    "an identity token": (signed(header={"typ": "ID"}), TYPE),
    "typ missing": (replaced(signed(), 0, encoded({"alg": "RS256", "kid": "k1"})), TYPE),
    "typ a list": (replaced(signed(), 0, encoded({**KINDS, "typ": ["JWT"]})), TYPE),
    "crit": (signed(header={"crit": ["exp"]}), READ),
    "crit empty": (replaced(signed(), 0, encoded({**KINDS, "crit": []})), READ),
    "crit that PyJWT knows": (replaced(signed(), 0, encoded({**KINDS, "crit": ["b64"], "b64": True})), EXTENSION),
    "detached": (replaced(signed(), 0, encoded({**KINDS, "b64": 0})), EXTENSION),
    "signed by a stranger": (signed(key=OTHER), WRONG),
    "with the stranger's key inside": (
        signed(key=OTHER, header={"jwk": json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(OTHER.public_key()))}),
        WRONG,
    ),
    "with the stranger's addresses": (
        signed(key=OTHER, header={"jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/"}), WRONG,
    ),
    "other claims": (replaced(signed(), 1, encoded({**CLAIMS, "sub": "root"})), WRONG),
    "no signature": (replaced(signed(), 2, ""), WRONG),
    "half a signature": (signed()[:-170], WRONG),
    "garbage": ("a.b.c", READ),
    "empty parts": ("..", READ),
    "no base64": ("!!!.???.###", READ),
    "not ASCII": (signed() + "é", READ),
    "blanks": (replaced(signed(), 2, " " + signed().split(".")[2]), READ),
    "header an array": (replaced(signed(), 0, encoded([1])), READ),
    "header no JSON": (replaced(signed(), 0, encoded(b"{")), READ),
    "header deep": (replaced(signed(), 0, encoded(b"[" * 3000)), READ),
    "header no UTF-8": (replaced(signed(), 0, encoded(b'{"\xff":1}')), READ),
    "two dots in one": (signed().replace(".", "..", 1), READ),
    "four parts": (signed() + ".x", READ),
    "oversized": (signed(pad="x" * 9000), "the token is too long"),
}  # fmt: skip


@pytest.mark.parametrize(("token", "sentence"), GALLERY.values(), ids=GALLERY)
async def test_a_token_of_the_gallery_is_refused_and_not_repeated(token, sentence, caplog):
    caplog.set_level(logging.DEBUG)
    tokens = verifier()
    with pytest.raises(CredentialsError) as error:
        await tokens.verify(token)
    assert sentence in str(error.value)
    told = f"{error.value!r} {caplog.text} {tokens!r}"
    assert not any(len(part) > 5 and part in told for part in token.split("."))
    # No cause or context either: what PyJWT says may quote the token.
    assert error.value.__context__ is None
    assert len(tokens) == 0


async def test_a_payload_that_is_signed_and_no_object_is_refused():
    token = jwt.PyJWS().encode(b"[1]", PRIVATE, "RS256", headers={"kid": "k1", "typ": "JWT"})
    with pytest.raises(CredentialsError, match="cannot be read"):
        await verifier().verify(token)


async def test_a_signed_payload_with_a_number_beyond_python_is_refused():
    payload = b'{"exp":' + b"9" * 5000 + b"}"
    token = jwt.PyJWS().encode(payload, PRIVATE, "RS256", headers={"kid": "k1", "typ": "JWT"})
    with pytest.raises(CredentialsError, match="cannot be read"):
        await verifier().verify(token)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=4,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64"]), json_values),
       st.dictionaries(st.sampled_from([*CLAIMS, "nbf", "jti"]), json_values))  # fmt: skip
async def test_whatever_is_in_a_token_one_family_of_errors_comes_out(header, claims):
    text = f"{encoded({**KINDS, **header})}.{encoded({**CLAIMS, **claims})}"
    signature = PRIVATE.sign(text.encode(), PKCS1v15(), SHA256())
    try:
        principal = await verifier().verify(f"{text}.{encoded(signature)}")
    except CredentialsError:
        return
    assert principal.account


@given(st.text(max_size=200) | st.text(alphabet="eyJ0.-_=", max_size=200))
async def test_any_text_lets_out_one_family_of_errors(text):
    with pytest.raises(CredentialsError):
        await verifier().verify(text)


class Counting(FixedKeys):
    """Keys of a file that count how often they are asked for."""

    asked = 0

    async def find(self, kid):
        Counting.asked += 1
        return await FixedKeys.find(self, kid)


async def test_a_verified_token_is_remembered_for_a_minute_and_never_beyond_its_end():
    Counting.asked, clock = 0, Clock()
    keys = Counting((VerifyingKey("k1", frozenset({"RS256"}), PRIVATE.public_key()),))
    tokens, token = verifier(clock, keys, leeway=0), signed(exp=NOW + 70)
    for second, asked in ((0, 1), (59, 1), (60, 2), (69, 2)):
        clock.now = (NOW + second) * SECOND
        await tokens.verify(token)
        assert Counting.asked == asked
    clock.now = (NOW + 70) * SECOND
    with pytest.raises(CredentialsExpiredError):
        await tokens.verify(token)


async def test_a_remembered_token_does_not_hold_before_its_beginning_when_the_clock_goes_back():
    clock = Clock()
    tokens, token = verifier(clock), signed()
    await tokens.verify(token)
    clock.now -= 60 * SECOND
    with pytest.raises(CredentialsError, match="not valid yet"):
        await tokens.verify(token)


async def test_a_key_that_is_published_for_one_algorithm_verifies_no_other():
    data = json.dumps({"keys": [jwk(PRIVATE, kid="k1", alg="RS256")]}).encode()
    keys = FixedKeys(keys_of_set(data, ["RS256", "RS512"]))
    tokens = verifier(keys=keys, algorithms=("RS256", "RS512"))
    assert (await tokens.verify(signed())).account == "acme"
    with pytest.raises(CredentialsError, match="not known"):
        await tokens.verify(signed(algorithm="RS512"))


def test_a_shared_secret_in_a_published_set_is_left_out_whatever_is_accepted():
    data = json.dumps({"keys": [{"kty": "oct", "k": encoded(b"s" * 64)}]}).encode()
    with pytest.raises(ValueError, match="has no usable key"):
        keys_of_set(data, ["HS256"])
    assert len(keys_of_set(data, ["HS256"], shared=True)) == 1


async def test_a_remembered_token_with_a_changed_signature_is_refused():
    tokens, token = verifier(), signed()
    await tokens.verify(token)
    with pytest.raises(CredentialsError):
        await tokens.verify(token[:-8] + "AAAAAAAA")


async def test_the_memory_of_tokens_is_bounded():
    tokens = verifier()
    held = await tokens._verify(signed(), NOW * SECOND)
    for i in range(CACHED_MOST + 10):
        tokens._remember(hashlib.sha256(b"%d" % i).digest(), held, NOW * SECOND)
    assert len(tokens) == CACHED_MOST
    tokens._remember(b"next", held, held.until)
    assert len(tokens) == 1


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (PRIVATE, "PS256"),
        (PRIVATE, "RS512"),
        (CURVE, "ES256"),
        (EDWARDS, "EdDSA"),
        (b"s" * 32, "HS256"),
    ],
)
async def test_each_algorithm_works_with_a_key_of_a_file(tmp_path, key, algorithm):
    path = tmp_path / "key"
    path.write_bytes(
        key
        if isinstance(key, bytes)
        else key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    path.chmod(0o600)
    keys = keys_of_file(path, [algorithm])
    tokens = verifier(keys=keys, algorithms=(algorithm,), key_file=path, jwks_url=None)
    assert (await tokens.verify(signed(key=key, algorithm=algorithm))).account == "acme"
    assert "s" * 32 not in repr(keys)


def jwk(key, **more):
    return {**jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), **more}


async def test_a_file_may_be_a_key_set_of_which_kid_picks(tmp_path):
    path = tmp_path / "set.json"
    path.write_text(json.dumps({"keys": [jwk(OTHER, kid="k2"), jwk(PRIVATE, kid="k1")]}))
    tokens = verifier(keys=keys_of_file(path, ["RS256"]), key_file=path, jwks_url=None)
    assert (await tokens.verify(signed())).account == "acme"
    with pytest.raises(CredentialsError, match="signature is wrong"):
        await tokens.verify(signed(header={"kid": "k2"}))


@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"},
        {"key_ops": ["encrypt"]},
        {"key_ops": "verify"},
        {"alg": "RS512"},
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": 5},
        {"kid": 5},
        {"d": "AQAB"},
        {"kty": "XYZ"},
        {"n": "!"},
        {"n": jwk(rsa.generate_private_key(65537, 1024))["n"]},  # noqa: S505
        {"kty": "oct", "k": encoded(b"s" * 64)},
    ],
)
def test_a_key_of_a_set_that_cannot_be_used_is_left_out(change):
    good, bad = jwk(PRIVATE, kid="good"), {**jwk(PRIVATE, kid="bad"), **change}
    [key] = keys_of_set(json.dumps({"keys": [bad, 5, good]}).encode(), ["RS256"])
    assert key.kid == "good"
    with pytest.raises(ValueError, match="has no usable key"):
        keys_of_set(json.dumps({"keys": [bad]}).encode(), ["RS256"])


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": ' + b"[" * 5000])
def test_what_is_no_key_set_is_told(data):
    with pytest.raises(ValueError, match=r"is no JSON|is no JWK set"):
        keys_of_set(data, ["RS256"])


WEAK = rsa.generate_private_key(65537, 1024)  # noqa: S505
SPKI = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
OWN = PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    ("data", "algorithms", "mode", "sentence"),
    [
        (b"", ["RS256"], 0o600, "holds no key for RS256"),
        (b"{", ["RS256"], 0o600, "is no JSON"),
        (WEAK.public_key().public_bytes(*SPKI), ["RS256"], 0o600, "holds no key for RS256"),
        (OWN, ["RS256"], 0o600, "holds a private key"),
        (PEM, ["RS256", "ES256"], 0o600, "holds no key for ES256"),
        (PEM.replace(b"A", b"B"), ["RS256"], 0o600, "PEM block that cannot be read"),
        (b"s" * 31, ["HS256"], 0o600, "holds no key for HS256"),
        (b"s" * 33, ["HS256", "HS512"], 0o600, "holds no key for HS512"),
        (b"s" * 64, ["HS256"], 0o644, "shared secret that others than its owner can read"),
    ],
)
def test_each_unusable_key_file_has_its_sentence(tmp_path, data, algorithms, mode, sentence):
    path = tmp_path / "key"
    path.write_bytes(data)
    path.chmod(mode)
    with pytest.raises(SettingsError) as error:
        keys_of_file(path, algorithms)
    assert sentence in str(error.value)
    assert not data or data.decode()[:30] not in str(error.value) or len(data) < 30


def test_a_key_file_that_is_missing_is_told(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read"):
        keys_of_file(tmp_path / "none", ["RS256"])


def test_settings_without_their_required_parts_name_all_that_is_missing():
    with pytest.raises(SettingsError) as error:
        JwtSettings()
    assert str(error.value).splitlines() == [
        "jwt.issuer: is required",
        "jwt.audience: is required",
        "jwt.algorithms: is required",
        "jwt: exactly one of key_file and jwks_url is required",
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"algorithms": ("none",)}, "jwt.algorithms: 'none' is not accepted"),
        ({"algorithms": ("rs256",)}, "jwt.algorithms: 'rs256' is not accepted"),
        ({"algorithms": ("HS256", "RS256")}, "HS* cannot stand beside others"),
        ({"algorithms": ("HS256",)}, "jwt.jwks_url: publishes keys"),
        ({"key_file": "x"}, "exactly one of key_file and jwks_url"),
        ({"audience": ("",)}, "jwt.audience: cannot have an empty name"),
        ({"types": ()}, "jwt.types: is required"),
        ({"leeway": 301 * SECOND}, "jwt.leeway: must be"),
        ({"claims": ClaimNames(account="")}, "jwt.claims: account and key are required"),
    ],
)
def test_each_mistaken_setting_has_its_sentence(change, sentence):
    with pytest.raises(SettingsError) as error:
        verifier(**change)
    assert sentence in str(error.value)


def test_a_claim_for_what_a_principal_does_not_have_is_told():
    with pytest.raises(SettingsError, match="'colour' is no part of a principal"):
        claim_names({"account": "sub", "colour": "c"})

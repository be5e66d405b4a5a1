"""An attack on a dump: who has all of Redis and the very prompts, can they confirm one of them?

    python bench/dump.py

A server is filled through the real features, profiles and counters with our sample texts. Then all
of it is read, and for each prompt that was sent, and for each of as many that were not, an attacker
says whether it was. What is printed is how often each attempt said so: where prompts that were sent
and others come out alike, nothing was learnt. The attacker knows our code, which account would have
sent a prompt, and all else that this account sent. The last lines are of who has the key: there the
same attempts succeed.

One attempt is of somebody who may send prompts through the same gateway, and sees in the dump where
these fell in the counters of an account of their own.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import sys
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from proxy import engine
from proxy.core.facts import RequestFacts
from proxy.core.principal import Principal
from proxy.limits import distinct
from proxy.limits.buckets import Distinct
from proxy.limits.keys import profile_key
from proxy.policy.loader import load
from proxy.ports import Batch
from proxy.runner import fingerprinter
from proxy.store.embedded import start_embedded
from proxy.store.open import open_client, open_profiles, open_store
from proxy.store.sealed import Seal
from proxy.watch.counting import LEVELS, SPENT
from proxy.watch.features import Lens
from proxy.watch.observation import Observation, Subject
from proxy.watch.profile import Profile

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.limits.charges import Charge
    from proxy.policy.loader import Loaded

SAMPLES = Path(__file__).parent.parent / "tests" / "population" / "sample"
PEPPER = b"the operator's pepper, 32 bytes."
GUESSES = (b"", b"weir", b"pepper", b"what the attacker thinks it is..")
START = 1_780_000_000_000_000
ACCOUNTS = 12
FRAMES = ("{}", "Answer briefly: {}", "{}\nExplain each step.")
POLICY = """\
policy: everyone
limits:
  - {limit: prompts, allow: 500 distinct prompts, per: 24h, by: [account]}
  - {limit: templates, allow: 500 distinct templates, per: 24h, by: [account]}
  - {limit: topics, allow: 500 distinct topics, per: 24h, by: [account]}
"""
HASHES = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "blake2b", "blake2s", "sha3_256")
SHORT = 8  # bytes of a needle by which it is looked for first


@dataclass(frozen=True, slots=True)
class Candidate:
    """A prompt, the account that would have sent it, and what else that has sent."""

    prompt: str
    account: str
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dump:
    """All that a server holds: its strings by key, and everything as one text."""

    strings: dict[str, bytes]
    everything: bytes
    pieces: frozenset[bytes]

    def holds(self, needle: bytes) -> bool:
        """Return whether these bytes are in it, in a key or in a value."""
        return needle[:SHORT] in self.pieces and needle in self.everything


def prompts() -> list[str]:
    """Return our sample texts, each once, in order."""
    found: dict[str, None] = {}
    for path in sorted(SAMPLES.glob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            found[json.loads(line)["prompt"]] = None
    return list(found)


def candidates(texts: list[str]) -> list[Candidate]:
    """Return prompts of these texts, each in each frame, dealt out to the accounts."""
    whole = [frame.format(text) for text in texts for frame in FRAMES]
    return [
        Candidate(
            prompt,
            f"acct{number % ACCOUNTS}",
            tuple(other for other in whole[number % ACCOUNTS :: ACCOUNTS] if other != prompt),
        )
        for number, prompt in enumerate(whole)
    ]


@lru_cache(maxsize=8)
def lens(secret: bytes) -> Lens:
    """Return what reads features under a secret."""
    return Lens(secret)


def facts_of(prompt: str) -> RequestFacts:
    """Return a request with this prompt."""
    return RequestFacts(dialect="openai.chat", model="m", prompt=prompt, turns=(("user", prompt),))


def charges(rules: Loaded, secret: bytes, account: str, prompt: str) -> tuple[Charge, ...]:
    """Return what a gateway with this secret notes of a prompt in its counters."""
    facts = facts_of(prompt)
    return engine.plan(
        facts, Principal("k", account, account), "", rules.policies, rules.models.find("m"),
        context=engine.Context("default", fingerprinter(secret)), lease_id="",
        features=lens(secret)(facts),
    ).charges  # fmt: skip


def profile_under(secret: bytes, account: str, asked: tuple[str, ...]) -> Profile:
    """Return what a gateway with this secret would have collected of an account."""
    found = Profile(START)
    for number, prompt in enumerate(asked):
        at = START + number * 1_000_000
        features = lens(secret)(facts_of(prompt))
        found.observe(Observation(Subject(account), at, at, features))
    return found


async def fill(url: str, sent: list[Candidate], rules: Loaded) -> None:
    """Note prompts as a gateway would: in counters and profiles."""
    store = open_store(url, deadline_us=2_000_000)
    profiles = open_profiles(url, "default", PEPPER, keep=86_400_000_000)
    asked: dict[str, tuple[str, ...]] = {}
    for each in sent:
        await store.charge(charges(rules, PEPPER, each.account, each.prompt))
        asked[each.account] = (*asked.get(each.account, ()), each.prompt)
    deltas = {name: profile_under(PEPPER, name, those) for name, those in asked.items()}
    assert not await profiles.add(Batch(b"dump-one", 1, deltas))
    await store.close()
    await profiles.close()


async def dumped(url: str) -> Dump:
    """Read all of a server, whatever its type."""
    client = open_client(url)
    assert client is not None
    parts: list[bytes] = []
    strings: dict[str, bytes] = {}
    reading: dict[bytes | str, Callable[[bytes], object]] = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"list": lambda key: client.lrange(key, 0, -1),
    }
    async for key in client.scan_iter(count=1000):
        value = await reading[await client.type(key)](key)  # type: ignore[misc]
        if isinstance(value, bytes):
            strings[key.decode()] = value
        parts += [key, value if isinstance(value, bytes) else repr(value).encode()]
        parts.append(await client.execute_command("DUMP", key) or b"")
    await client.aclose()
    whole = b"\n".join(parts)
    pieces = frozenset(whole[at : at + SHORT] for at in range(len(whole) - SHORT + 1))
    return Dump(strings, whole, pieces)


def levelled(prompt: str) -> tuple[str, ...]:
    """Return a prompt as a fingerprint might be taken of it."""
    low = " ".join(prompt.lower().split())
    message = json.dumps({"role": "user", "content": prompt})
    return prompt, prompt.lower(), low, prompt.strip(), f"user\n{prompt}", message


def by_text(dump: Dump, each: Candidate) -> bool:
    """Look for the text, and for pieces of it as long as a word or two."""
    data = each.prompt.encode()
    return any(dump.holds(data[at : at + 12]) for at in range(max(1, len(data) - 11)))


def by_digest(dump: Dump, each: Candidate) -> bool:
    """Look for common digests of the text: as bytes, hex and base64, whole or cut to 8 bytes."""
    for text in levelled(each.prompt):
        for name in HASHES:
            raw = hashlib.new(name, text.encode()).digest()
            for part in (raw[:8], raw[:8][::-1], raw[-8:]):
                number = int.from_bytes(part, "big")
                forms = (part, part.hex().encode(), part.hex().upper().encode(),
                         base64.b64encode(part)[:10], str(number).encode())  # fmt: skip
                if any(dump.holds(form) for form in forms):
                    return True
    return False


def by_features(dump: Dump, each: Candidate, secret: bytes) -> bool:
    """Look for the prompt's fingerprints under a secret, in bytes, hex and digits."""
    found = lens(secret)(facts_of(each.prompt))
    plain = fingerprinter(secret)(each.prompt)
    numbers = (int(plain, 16), found.prompt, found.template, found.near, *found.views[1:])
    forms = [form for one in numbers if one for form in (one.to_bytes(8, "little"),
             one.to_bytes(8, "big"), f"{one:016x}".encode(), str(one).encode())]  # fmt: skip
    return any(dump.holds(form) for form in forms)


def by_counters(dump: Dump, each: Candidate, secret: bytes, rules: Loaded) -> bool:
    """Look whether the account's counter of prompts has the prompt's cell in use."""
    charge = charges(rules, secret, each.account, each.prompt)[0]
    assert isinstance(charge.bucket, Distinct)
    at = 2 * distinct.cell(charge.bucket, charge.token)
    return any(dump.strings.get(f"{charge.key}:cells", b"")[at : at + 2])


def by_own_counters(dump: Dump, each: Candidate, rules: Loaded) -> bool:
    """Ask it in an account of one's own, and look for the same cells in the other's counters."""
    own = charges(rules, PEPPER, "attacker", each.prompt)
    theirs = charges(rules, PEPPER, each.account, each.prompt)
    found = []
    for mine, other in zip(own, theirs, strict=True):
        assert isinstance(mine.bucket, Distinct)
        at = 2 * distinct.cell(mine.bucket, mine.token)
        found.append(any(dump.strings.get(f"{other.key}:cells", b"")[at : at + 2]))
    return all(found[:1]) or all(found[1:])


def by_profiles(dump: Dump, each: Candidate, secret: bytes) -> bool:
    """Open the account's profile under a secret, and ask its set of prompts."""
    key = profile_key("default", each.account)
    try:
        _, found = Seal(secret).opened(key, dump.strings[key])
    except ValueError:
        return False
    cells = found.sets.prompts
    fingerprint = lens(secret)(facts_of(each.prompt)).prompt
    return bool(cells.now[(fingerprint >> SPENT) % (cells.size // LEVELS)])


def by_size(dump: Dump, each: Candidate, secret: bytes) -> bool:
    """Make the account's profile with this prompt in it, and see whether it is as long."""
    key = profile_key("default", each.account)
    made = profile_under(secret, each.account, (*each.others, each.prompt))
    sealed = Seal(secret).sealed(key, {b"dump-one": 1}, made)
    return len(sealed) == len(dump.strings[key])


def attacked() -> dict[str, tuple[int, int, int]]:
    """Return by attempt what was said to be sent: of those sent, of as many others, how many."""
    known = prompts()
    half = len(known) // 2
    sent, other = candidates(known[::2][:half]), candidates(known[1::2][:half])
    # What was not sent would have been one more of what its account has sent.
    other = [Candidate(no.prompt, yes.account, yes.others)
             for no, yes in zip(other, sent, strict=True)]  # fmt: skip
    with (
        tempfile.TemporaryDirectory(prefix="weir-dump-") as place,
        start_embedded(Path(place) / "home") as server,
    ):
        policies = Path(place) / "policies"
        policies.mkdir()
        (policies / "everyone.yaml").write_text(POLICY)
        rules = load(policies)
        asyncio.run(fill(server.url, sent, rules))
        dump = asyncio.run(dumped(server.url))
    attempts: dict[str, Callable[[Candidate], bool]] = {
        "the text, or a piece of it": lambda each: by_text(dump, each),
        "digests of the text": lambda each: by_digest(dump, each),
        "fingerprints, keys guessed": lambda each: any(
            by_features(dump, each, guess) for guess in GUESSES
        ),
        "profiles, keys guessed": lambda each: any(
            by_profiles(dump, each, guess) for guess in GUESSES
        ),
        "counters, a key guessed": lambda each: by_counters(dump, each, GUESSES[-1], rules),
        "counters, asked oneself": lambda each: by_own_counters(dump, each, rules),
        "sizes of profiles": lambda each: by_size(dump, each, GUESSES[-1]),
        "profiles, the real key": lambda each: by_profiles(dump, each, PEPPER),
        "counters, the real key": lambda each: by_counters(dump, each, PEPPER, rules),
    }
    return {
        name: (sum(map(attempt, sent)), sum(map(attempt, other)), len(sent))
        for name, attempt in attempts.items()
    }


def main() -> None:
    """Attack, and print what came of it."""
    print(f"{'said to have been sent':28} {'of those sent':>16} {'of others':>16}", file=sys.stdout)
    for name, (right, wrong, of) in attacked().items():
        print(f"{name:28} {right:>8} of {of:<5} {wrong:>7} of {of:<5}")


if __name__ == "__main__":
    main()

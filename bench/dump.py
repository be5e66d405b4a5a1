"""An attack on a dump: can somebody who has all of Redis, and the very prompts, confirm one of them.

    python bench/dump.py

A server is filled through the real features, profiles and counters with our sample texts. Then
everything in it is read, and for each prompt that was sent, and each of as many that were not, the
attacker says whether it was: by looking for the text and for common digests of it, by computing its
features under keys of their own, and by opening the profiles with such keys. What is printed is how
often each attempt was right about prompts that were sent and about those that were not: where the
two agree, nothing was learnt. The last line is who has the key: there the same attempt succeeds.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from proxy import engine
from proxy.core.facts import RequestFacts
from proxy.core.principal import Principal
from proxy.limits.keys import profile_key
from proxy.policy.loader import load
from proxy.ports import Batch
from proxy.runner import fingerprinter
from proxy.store.embedded import start_embedded
from proxy.store.open import open_client, open_profiles, open_store
from proxy.store.profiles import STAMP, Seal
from proxy.watch.features import Lens
from proxy.watch.observation import Observation, Subject
from proxy.watch.profile import Profile

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLES = Path(__file__).parent.parent / "tests" / "population" / "sample"
PEPPER, WRONG = b"the operator's pepper, 32 bytes.", b"what the attacker thinks it is.."
START = 1_780_000_000_000_000
ACCOUNTS = 12
POLICY = """\
policy: everyone
limits:
  - {limit: prompts, allow: 500 distinct prompts, per: 24h, by: [account]}
  - {limit: templates, allow: 500 distinct templates, per: 24h, by: [account]}
  - {limit: topics, allow: 500 distinct topics, per: 24h, by: [account]}
"""
HASHES = ("md5", "sha1", "sha256", "sha512", "blake2b", "blake2s", "sha3_256")


@dataclass(frozen=True, slots=True)
class Dump:
    """All that a server holds: keys and their bytes; profiles by account."""

    everything: bytes
    profiles: dict[str, bytes]


def prompts() -> list[str]:
    """Return our sample texts, each once, in order."""
    found: dict[str, None] = {}
    for path in sorted(SAMPLES.glob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            found[json.loads(line)["prompt"]] = None
    return list(found)


def facts_of(prompt: str) -> RequestFacts:
    """Return a request with this prompt."""
    return RequestFacts(dialect="openai.chat", model="m", prompt=prompt, turns=(("user", prompt),))


async def fill(url: str, sent: list[str], policies: Path) -> None:
    """Send prompts as a gateway would note them: into counters and profiles."""
    lens = Lens(PEPPER)
    rules = load(policies)
    context = engine.Context("default", fingerprinter(PEPPER))
    store = open_store(url, deadline_us=2_000_000)
    profiles = open_profiles(url, "default", PEPPER, keep=86_400_000_000)
    deltas: dict[str, Profile] = {}
    for number, prompt in enumerate(sent):
        account = f"acct{number % ACCOUNTS}"
        facts = facts_of(prompt)
        features = lens(facts)
        plan = engine.plan(
            facts, Principal("k", account, account), "", rules.policies, rules.models.find("m"),
            context=context, lease_id=str(number), features=features,
        )  # fmt: skip
        await store.charge(plan.charges)
        seen = Observation(Subject(account), START + number, START + number, features)
        deltas.setdefault(account, Profile(START)).observe(seen)
    assert not await profiles.add(Batch(b"dump-one", 1, deltas))
    await store.close()
    await profiles.close()


async def dumped(url: str) -> Dump:
    """Read all of a server, whatever its type."""
    client = open_client(url)
    assert client is not None
    parts: list[bytes] = []
    reading: dict[bytes, Callable[[bytes], object]] = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"list": lambda key: client.lrange(key, 0, -1),
    }
    async for key in client.scan_iter(count=1000):
        value = await reading[await client.type(key)](key)  # type: ignore[misc]
        parts += [key, value if isinstance(value, bytes) else repr(value).encode()]
        parts.append(await client.execute_command("DUMP", key) or b"")
    found = Dump(
        b"\n".join(parts),
        {
            f"acct{number}": await client.get(profile_key("default", f"acct{number}")) or b""
            for number in range(ACCOUNTS)
        },
    )
    await client.aclose()
    return found


def levelled(prompt: str) -> list[str]:
    """Return a prompt as a fingerprint might be taken of it."""
    return [prompt, prompt.lower(), " ".join(prompt.lower().split()), prompt.strip()]


def by_text(dump: Dump, prompt: str) -> bool:
    """Look for the text, or a piece of it."""
    data = prompt.encode()
    return any(piece in dump.everything for piece in (data, data[:24], data[-24:]) if piece)


def by_digest(dump: Dump, prompt: str) -> bool:
    """Look for common digests of the text: raw, hex, base64, and cut to 16 digits or 8 bytes."""
    for text in levelled(prompt):
        for name in HASHES:
            raw = hashlib.new(name, text.encode()).digest()
            forms = (raw, raw[:8], raw.hex().encode(), raw.hex()[:16].encode(),
                     base64.b64encode(raw)[:20])  # fmt: skip
            if any(form in dump.everything for form in forms):
                return True
    return False


def by_features(dump: Dump, prompt: str, secret: bytes) -> bool:
    """Look for the prompt's fingerprints and its cells under a secret."""
    features = Lens(secret)(facts_of(prompt))
    numbers = (features.prompt, features.template, features.near)
    forms = [form for each in numbers for form in (each.to_bytes(8, "little"),
             each.to_bytes(8, "big"), f"{each:016x}".encode(), str(each).encode())]  # fmt: skip
    return any(form in dump.everything for form in forms)


def by_profiles(dump: Dump, prompt: str, secret: bytes) -> bool:
    """Open the profiles under a secret, and ask their sets of prompts."""
    features = Lens(secret)(facts_of(prompt))
    for account, stored in dump.profiles.items():
        try:
            _, found = Seal(secret).opened(profile_key("default", account), stored)
        except ValueError:
            continue
        cells = found.sets.prompts
        row = cells.size // 4
        if cells.now[(features.prompt >> 16) % row]:
            return True
    return False


def by_size(dump: Dump, prompt: str) -> bool:
    """Guess by size: whether some profile's bytes, modulo its padding, name the prompt's length."""
    return any((len(stored) - STAMP) % 128 == len(prompt) % 128 for stored in dump.profiles.values())


ATTEMPTS: dict[str, Callable[[Dump, str], bool]] = {
    "the text itself": by_text,
    "digests of the text": by_digest,
    "fingerprints under a guessed key": lambda dump, prompt: by_features(dump, prompt, WRONG),
    "profiles under a guessed key": lambda dump, prompt: by_profiles(dump, prompt, WRONG),
    "sizes": by_size,
    "profiles under the real key": lambda dump, prompt: by_profiles(dump, prompt, PEPPER),
}


def attacked() -> dict[str, tuple[int, int, int]]:
    """Return, by attempt: confirmed of those sent, confirmed of those not sent, of each how many."""
    known = prompts()
    half = len(known) // 2
    sent, other = known[::2][:half], known[1::2][:half]
    with (
        tempfile.TemporaryDirectory(prefix="weir-dump-") as place,
        start_embedded(Path(place) / "home") as server,
    ):
        policies = Path(place) / "policies"
        policies.mkdir()
        (policies / "everyone.yaml").write_text(POLICY)
        asyncio.run(fill(server.url, sent, policies))
        dump = asyncio.run(dumped(server.url))
    return {
        name: (sum(attempt(dump, each) for each in sent),
               sum(attempt(dump, each) for each in other), half)
        for name, attempt in ATTEMPTS.items()
    }  # fmt: skip


def main() -> None:
    """Attack, and print what came of it."""
    print(f"{'attempt':34} {'of prompts sent':>16} {'of prompts not sent':>20}", file=sys.stdout)
    for name, (right, wrong, of) in attacked().items():
        print(f"{name:34} {right:>7} of {of:<5} {wrong:>11} of {of:<5}")


if __name__ == "__main__":
    main()

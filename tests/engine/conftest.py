"""Limits, policies and plans for tests of the engine."""

from __future__ import annotations

from zlib import crc32

import pytest

from proxy.core.decision import Mode, OnStoreError
from proxy.core.facts import RequestFacts
from proxy.core.principal import Principal
from proxy.core.shape import NO_SHAPE
from proxy.engine import Context, plan
from proxy.limits.buckets import Rate
from proxy.limits.charges import Charged, Receipt
from proxy.policy.compiled import Limit, Model, Otherwise, Policy, PolicySet, Scope, Unit

PRINCIPAL = Principal("k1", "acme", "acme", plan="free")
FACTS = RequestFacts("openai.chat", "m", prompt_tokens=100, output_tokens=50)
TEN_A_MINUTE, MODEL = Rate(10, 60_000_000, 10), Model("m")
CONTEXT = Context("test", lambda text: f"{crc32(text.encode()):016x}")


@pytest.fixture
def limit():
    """Make one limit; its bucket is a rate of ten a minute unless told otherwise."""

    def limit(
        name="r",
        otherwise=Otherwise.REFUSE,
        shape=NO_SHAPE,
        mode=Mode.ENFORCE,
        error=OnStoreError.DENY,
        unit=Unit.REQUESTS,
        bucket=TEN_A_MINUTE,
        by=(Scope.KEY,),
    ):
        return Limit("p", name, unit, by, bucket, mode, error, otherwise=otherwise, shape=shape)

    return limit


@pytest.fixture
def planned():
    """Plan a request for some limits, capabilities and ladders (one policy a ladder)."""

    def planned(
        *limits, capabilities=(), ladders=((),), facts=FACTS, principal=PRINCIPAL, model=MODEL,
        features=None,
    ):  # fmt: skip
        policies = tuple(
            Policy(
                f"p{index or ''}", "", lambda *_: True,
                limits if index == 0 else (), "", capabilities if index == 0 else (), tuple(ladder),
            )
            for index, ladder in enumerate(ladders)
        )  # fmt: skip
        return plan(
            facts, principal, "203.0.113.9", PolicySet(policies, "d"), model,
            context=CONTEXT, lease_id="lease", features=features,
        )  # fmt: skip

    return planned


@pytest.fixture
def charged():
    """Answer a plan: whether each charge fits, and when it would."""

    def charged(plan, *fits, standing=None, retry_after=5_000_000):
        admitted = all(
            fit or not charge.binding for fit, charge in zip(fits, plan.charges, strict=True)
        )
        receipts = tuple(
            Receipt(
                fits=fit, taken=admitted or not charge.binding, remaining=3,
                retry_after=0 if fit else retry_after, reset=0, mark=7,
            )
            for fit, charge in zip(fits, plan.charges, strict=True)
        )  # fmt: skip
        return Charged(admitted=admitted, receipts=receipts, at=1, standing=standing)

    return charged

"""Prometheus metrics of a worker, kept in files by worker slot so that all workers add up.

`use_slot` comes first in a worker's life; the supervisor reads all slots by `render`.
Labels have few values by construction: never an account, key, model or address.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.core.decision import Decision, Raise

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


def use_slot(directory: Path, slot: int) -> None:
    """Keep this process's metrics in `directory` under a stable name.

    A worker that is started again in its slot goes on where the last one stopped; files by
    process id would grow for ever.
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    values.ValueClass = values.MultiProcessValue(  # type: ignore[no-untyped-call]
        process_identifier=lambda: slot
    )


def render(directory: Path) -> bytes:
    """Return the text format of all slots together."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(directory))  # type: ignore[no-untyped-call]
    return prometheus_client.generate_latest(registry)


class Metrics:
    """The instruments of one worker."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._answers = Counter(
            "weir_requests", "Requests answered, by status class and effect.",
            ["status", "effect"], registry=registry,
        )  # fmt: skip
        self._limits = Counter(
            "weir_limit_overflows", "Limits that had no room, by policy, limit and mode.",
            ["policy", "limit", "mode"], registry=registry,
        )  # fmt: skip
        self._raises = Counter(
            "weir_level_raises",
            "Levels raised by limits: set, kept (it was as high, or pardoned) or failed.",
            ["policy", "limit", "level", "result"], registry=registry,
        )  # fmt: skip
        self.blind = Counter(
            "weir_blind_decisions", "Requests decided without an answer of the counters.",
            registry=registry,
        )  # fmt: skip
        self._tokens = Counter(
            "weir_tokens", "Tokens charged in the end.", ["direction"], registry=registry
        )
        self._ends = Counter(
            "weir_exchanges", "Exchanges with the model API, by how they ended.",
            ["end"], registry=registry,
        )  # fmt: skip
        self.store_seconds = Histogram(
            "weir_store_seconds", "Time of the charge's round trip.",
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.admission_seconds = Histogram(
            "weir_admission_seconds", "Time from a request's arrival to its decision.",
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.upstream_seconds = Histogram(
            "weir_upstream_first_byte_seconds", "Time to the model API's first byte.",
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.in_flight = Gauge(
            "weir_in_flight", "Requests being served.",
            registry=registry, multiprocess_mode="sum",
        )  # fmt: skip
        self.store_up = Gauge(
            "weir_store_up", "1 while the worker's breaker to the counters is closed.",
            registry=registry, multiprocess_mode="min",
        )  # fmt: skip
        self.store_backlog = Gauge(
            "weir_store_backlog", "Settlements waiting for the counters to come back.",
            registry=registry, multiprocess_mode="sum",
        )  # fmt: skip
        self.store_unreadable = Gauge(
            "weir_store_unreadable", "Standings that could not be read, and so did not count.",
            registry=registry, multiprocess_mode="sum",
        )  # fmt: skip
        self.journal_dropped = Gauge(
            "weir_journal_dropped", "Records that could not be written since the worker started.",
            registry=registry, multiprocess_mode="sum",
        )  # fmt: skip
        self.recording = Gauge(
            "weir_recording", "1 while prompts and answers are recorded in the clear.",
            registry=registry, multiprocess_mode="max",
        )  # fmt: skip
        self.recording_dropped = Gauge(
            "weir_recording_dropped",
            "Requests that could not be recorded since the worker started.",
            registry=registry, multiprocess_mode="sum",
        )  # fmt: skip
        self.policy_good = Gauge(
            "weir_policies_good", "1 while the policy files on disk are the ones in force.",
            registry=registry, multiprocess_mode="min",
        )  # fmt: skip
        self.policy_reloads = Counter(
            "weir_policy_reloads", "Policy sets taken into force or turned down.",
            ["result"], registry=registry,
        )  # fmt: skip
        self.unclaimed = Counter(
            "weir_objects_unclaimed", "Stored answers that nobody can read: the store was away.",
            registry=registry,
        )  # fmt: skip
        self.watch_observed = Counter(
            "weir_watch_observed", "Exchanges noted in profiles.", registry=registry
        )
        self.watch_dropped = Counter(
            "weir_watch_dropped", "Exchanges that no profile knows of: too many accounts at once.",
            registry=registry,
        )  # fmt: skip
        self.watch_waiting = Gauge(
            "weir_watch_waiting", "Accounts of which something waits to be written to the store.",
            registry=registry, multiprocess_mode="sum",
        )  # fmt: skip
        self.watch_flush_seconds = Histogram(
            "weir_watch_flush_seconds", "Time of writing what was noted to the store.",
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.watch_lag_seconds = Histogram(
            "weir_watch_lag_seconds",
            "Time from the arrival of an account's newest noted request to its assessment.",
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self._assessed = Counter(
            "weir_watch_assessed",
            "Assessments: clear, raised, kept (as high already, or pardoned) or failed.",
            ["result"], registry=registry,
        )  # fmt: skip
        self._levels = Counter(
            "weir_watch_levels", "Levels set by evidence, those prolonged left out.", ["level"],
            registry=registry,
        )  # fmt: skip
        self.in_flight.set(0)
        self.store_up.set(1)
        self.policy_good.set(1)
        self._answer_cache: dict[tuple[int, str], Counter] = {}
        self._input, self._output = self._tokens.labels("input"), self._tokens.labels("output")

    def answered(self, status: int, effect: str) -> None:
        """Count one answer."""
        key = (status // 100, effect)
        child = self._answer_cache.get(key)
        if child is None:
            child = self._answer_cache[key] = self._answers.labels(f"{key[0]}xx", effect)
        child.inc()

    def decided(self, decision: Decision) -> None:
        """Count what overflowed."""
        for reason in decision.reasons:
            self._limits.labels(reason.policy, reason.limit, "enforce").inc()
        for reason in decision.shadowed:
            self._limits.labels(reason.policy, reason.limit, "shadow").inc()
        if decision.blind:
            self.blind.inc()

    def raised(self, raised: Raise, result: str) -> None:
        """Count one level that a limit raised: 'set', 'kept' or 'failed'."""
        self._raises.labels(raised.policy, raised.limit, raised.level.value, result).inc()

    def ended(self, end: str, prompt: int, output: int) -> None:
        """Count how an exchange ended and what was charged for it, in tokens."""
        self._ends.labels(end).inc()
        self._input.inc(prompt)
        self._output.inc(output)

    def assessed(self, result: str) -> None:
        """Count an assessment: 'clear', 'raised', 'kept' or 'failed'."""
        self._assessed.labels(result).inc()

    def levelled(self, level: str) -> None:
        """Count an account that evidence has brought to a level."""
        self._levels.labels(level).inc()

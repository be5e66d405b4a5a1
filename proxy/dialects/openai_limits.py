"""The sentence of a refusal: which rule, how much, how long. OpenAI's words where it has them.

What waiting cannot mend is told first: an account under review, then what is not allowed at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.dialects.ratelimit_headers import SECOND, TOKEN_UNITS, go_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.core.decision import Decision, Reason
    from proxy.dialects.ratelimit_headers import LimitView

# The longest wait that an SDK is told to wait for by itself.
PATIENCE = 60 * SECOND
MINUTE, HOUR, DAY = 60 * SECOND, 3_600 * SECOND, 86_400 * SECOND

_UNITS = {
    "input_tokens": "input tokens",
    "output_tokens": "output tokens",
    "usd": "dollars",
    "concurrent": "concurrent requests",
}
_CAPABILITIES = {
    "capability.forbidden": "Your request uses what is not allowed here.",
    "capability.required": "Your request lacks what is required here.",
}
_PERIODS = {MINUTE: "min", HOUR: "hour", DAY: "day", 7 * DAY: "week"}
_INITIALS = {
    ("requests", MINUTE): " (RPM)",
    ("requests", DAY): " (RPD)",
    ("tokens", MINUTE): " (TPM)",
    ("tokens", DAY): " (TPD)",
}


@dataclass(frozen=True, slots=True)
class Told:
    """What a refusal says.

    type, code: of the error body
    wait:       microseconds until it would fit; None where waiting does not help
    """

    status: int
    message: str
    type: str
    code: str
    wait: int | None

    @property
    def patient(self) -> bool:
        """The wait is short enough to be waited for."""
        return self.wait is not None and self.wait <= PATIENCE

    @property
    def wait_text(self) -> str:
        """The wait as Go prints it; '' where there is none."""
        return "" if self.wait is None else go_duration(self.wait)


def told_of(
    decision: Decision, model: str, org: str, decision_id: str, views: Sequence[LimitView]
) -> Told:
    """Return what to say: of what is final, else of the longest wait."""
    final = _forbidden(decision.reasons, decision_id)
    if final is not None:
        return final
    exceeded = [reason for reason in decision.reasons if reason.code == "limit.exceeded"]
    never = [reason for reason in decision.reasons if reason.code == "limit.never_fits"]
    blind = [reason for reason in decision.reasons if reason.code == "store.unavailable"]
    full = [reason for reason in decision.reasons if reason.code == "delay.full"]
    subject = f"{model} in organization {org}" if model else f"organization {org}"
    if never:
        return _never_fits(never[0], subject, decision_id, views)
    if exceeded:
        reason = max(exceeded, key=lambda reason: reason.retry_after or 0)
        return _exceeded(reason, decision.retry_after, subject, decision_id, views)
    if blind:
        return Told(
            503,
            "Your limits cannot be checked at the moment. Please try again in 1s. "
            f"(decision {decision_id})",
            "server_error",
            "store.unavailable",
            SECOND,
        )
    if full:
        return _delay_full(full[0], subject, decision_id)
    code = decision.reasons[0].code if decision.reasons else "request.refused"
    message = f"Your request for {subject} was refused: {code}. (decision {decision_id})"
    return Told(429, message, "requests", code, decision.retry_after)


def _forbidden(reasons: Sequence[Reason], decision_id: str) -> Told | None:
    """Return what to say of a refusal for good; None where the reasons are limits."""
    for reason in reasons:
        if reason.code.startswith("standing."):
            message = (
                "This account is under review, and its requests are not served at the moment. "
                "Please ask the operator of this gateway and quote the decision. "
                f"(decision {decision_id})"
            )
            code = reason.says or "account_under_review"
            return Told(403, message, "permission_error", code, None)
    for reason in reasons:
        if reason.code in _CAPABILITIES:
            because = reason.because or _CAPABILITIES[reason.code]
            rule = f"{reason.policy}/{reason.limit}"
            message = f"{_sentence(because)} (rule {rule}, decision {decision_id})"
            return Told(403, message, "permission_error", reason.says or reason.code, None)
    return None


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _delay_full(reason: Reason, subject: str, decision_id: str) -> Told:
    wait = SECOND if reason.retry_after is None else reason.retry_after
    message = (
        f"Too many requests for {subject} are waiting already. "
        f"Please try again in {go_duration(wait)}. (decision {decision_id})"
    )
    return Told(429, message, "requests", reason.says or reason.code, wait)


def _never_fits(reason: Reason, subject: str, decision_id: str, views: Sequence[LimitView]) -> Told:
    view = _view_of(reason, views)
    largest = (view.largest or view.amount) if view is not None else reason.amount
    message = (
        f"Request too large for {subject} on {_what(reason, view)}: "
        f"Limit {_amount(reason, reason.amount)}, Requested {_amount(reason, reason.asked)}. "
        f"The largest request that fits is {_amount(reason, largest)}. "
        f"{_signed(reason, decision_id)}"
    )
    return Told(429, message, _type(reason), reason.says or "request_too_large_for_limit", None)


def _exceeded(
    reason: Reason,
    longest: int | None,
    subject: str,
    decision_id: str,
    views: Sequence[LimitView],
) -> Told:
    wait = longest if longest is not None else reason.retry_after
    used = max(reason.amount - reason.remaining, 0)
    advice = f"Please try again in {go_duration(wait)}. " if wait is not None else ""
    numbers = (
        f"Limit {_amount(reason, reason.amount)}, Used {_amount(reason, used)}, "
        f"Requested {_amount(reason, reason.asked)}. {advice}{_signed(reason, decision_id)}"
    )
    what = _what(reason, _view_of(reason, views))
    if reason.unit == "usd" or reason.kind in ("budget", "exposure"):
        message = f"You exceeded your current quota for {subject} on {what}: {numbers}"
        code = reason.says or "insufficient_quota"
        return Told(429, message, "insufficient_quota", code, wait)
    message = f"Rate limit reached for {subject} on {what}: {numbers}"
    return Told(429, message, _type(reason), reason.says or "rate_limit_exceeded", wait)


def _view_of(reason: Reason, views: Sequence[LimitView]) -> LimitView | None:
    name = f"{reason.policy}/{reason.limit}"
    return next((view for view in views if view.name == name), None)


def _type(reason: Reason) -> str:
    return "tokens" if reason.unit in TOKEN_UNITS else "requests"


def _what(reason: Reason, view: LimitView | None) -> str:
    unit = _UNITS.get(reason.unit, reason.unit)
    if view is None or not view.period or reason.kind == "lease":
        return unit
    if reason.kind == "exposure":
        return f"{unit} (halving every {go_duration(view.period)})"
    if reason.kind == "budget" and 28 * DAY <= view.period <= 31 * DAY:
        return f"{unit} per month"
    word = _PERIODS.get(view.period) or go_duration(view.period)
    return f"{unit} per {word}{_INITIALS.get((reason.unit, view.period), '')}"


def _amount(reason: Reason, units: int) -> str:
    """Return an amount for people: micro-dollars as dollars, rounded up to the cent's hundredth.

    >>> from proxy.core.decision import Reason
    >>> _amount(Reason("limit.exceeded", unit="usd"), 1_250_001)
    '$1.2501'
    """
    if reason.unit != "usd":
        return str(units)
    hundredths = -(-units // 100)
    return f"${hundredths // 10_000}.{hundredths % 10_000:04}"


def _signed(reason: Reason, decision_id: str) -> str:
    return f"(limit {reason.policy}/{reason.limit}, decision {decision_id})"

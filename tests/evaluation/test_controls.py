"""Controls: campaigns that are none."""

from __future__ import annotations

from proxy.evaluation.controls import controls, raced
from proxy.evaluation.ledger import HOUR, Ledger
from proxy.traffic.entry import Label

THIEF, HONEST = Label("c1", "extraction"), Label("h", "benign")


def ledger(accounts: dict[str, tuple[Label, list[tuple[int, int]]]]) -> Ledger:
    """Accounts with their requests: (hour, marks); each is answered."""
    made = Ledger(("watch",))
    for name, (label, requests) in accounts.items():
        for hour, marks in requests:
            made.saw(name, label, hour * HOUR, marks)
            made.got(name, hour * HOUR)
    return made


def test_a_race_over_diaries_ends_with_the_hour_in_which_half_bear_the_mark():
    made = ledger(
        {
            "a": (THIEF, [(0, 0), (1, 0), (2, 1), (2, 1), (9, 1)]),
            "b": (THIEF, [(0, 0), (2, 0), (3, 0)]),
            "c": (THIEF, [(1, 0), (4, 1), (5, 1)]),
        }
    )
    diaries = list(made.accounts.values())
    assert raced(diaries[:1], 0) == (2 * HOUR, 4)
    assert raced(diaries[1:2], 0) == (None, 3)
    # One of three at hour 2, two of three at hour 4.
    assert raced(diaries, 0) == (4 * HOUR, 4 + 3 + 2)


def test_an_account_that_enters_as_another_is_marked_counts_first():
    made = ledger({"a": (THIEF, [(0, 0), (1, 1)]), "b": (THIEF, [(1, 0)]), "c": (THIEF, [(1, 0)])})
    assert raced(list(made.accounts.values()), 0)[0] is None


def test_shuffled_labels_of_one_alarm_in_many_find_fewer():
    # Ten accounts of like volume, of which the two of the campaign alone are marked.
    accounts = {f"t{n}": (THIEF, [(0, 0), (1, 1), (2, 1), (3, 1)]) for n in range(2)}
    accounts |= {f"h{n}": (HONEST, [(0, 0), (1, 0), (2, 0), (3, 0)]) for n in range(8)}
    (control,) = controls(ledger(accounts), 50, seed=3)
    assert (control.real.answers.mean, control.real.reached.mean) == (4, 1)
    assert control.real.part.mean == 4 / 8
    # Both campaign accounts are unmarked with chance 28 of 45; one of two is half.
    assert control.shuffled is not None
    assert 0.15 < control.shuffled.reached.mean < 0.6
    assert (control.shuffled.answers.least, control.shuffled.answers.most) == (4, 8)
    ((size, null),) = control.null
    assert (size, null.reached.most, null.answers.mean) == (1, 0, 4)


def test_labels_are_dealt_among_accounts_of_like_volume():
    heavy = [(hour, 0) for hour in range(100)]
    accounts = {"t": (THIEF, heavy), "h1": (HONEST, heavy), "h2": (HONEST, [(0, 0)])}
    (control,) = controls(ledger(accounts), 30, seed=1)
    assert control.shuffled is not None
    assert (control.shuffled.answers.least, control.shuffled.answers.most) == (100, 100)


def test_the_same_seed_deals_the_same_and_another_one_does_not():
    accounts = {f"t{n}": (THIEF, [(0, n % 2), (n + 1, 1)]) for n in range(6)}
    accounts |= {f"h{n}": (HONEST, [(0, 0), (n, n % 3 == 0)]) for n in range(30)}
    first = controls(ledger(accounts), 20, seed=5)
    assert controls(ledger(dict(reversed(accounts.items()))), 20, seed=5) == first
    assert controls(ledger(accounts), 20, seed=6) != first


def test_without_campaigns_there_is_nothing_to_shuffle():
    (control,) = controls(ledger({"h": (HONEST, [(0, 0)])}), 5, seed=1)
    assert control.shuffled is None
    assert control.real.of == 0

"""How small a share of harvesting prompts a window of prompts shows, of 512 bytes of state.

    python bench/window.py --data DIR --markdown
    python bench/window.py                          # the tests' own few texts, in a second

For each benign set: a reference of 40 % of its prompts, thresholds by windows of other 30 % (over
several such splits), tested on windows of the last 30 %, which is never anything else. An attack's
window holds a share of its prompts, the others are benign. The basis of the vectors is made without
the benign set (and without its twin where the attack has one): nothing that is tested has shaped
what tests it, and no attack's text shapes anything. Vectors are keyed. A window that is larger
than a set's part draws prompts again. Beside it: the published MMD on hashed 3-grams, whose state
is the whole window.
"""

from __future__ import annotations

import argparse
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from basis import moments as count_moments
from basis import without
from rich.console import Console
from rich.progress import Progress
from window_sets import attack_sets, honest_sets, sample_sets

from proxy.evaluation.baselines import mmd
from proxy.evaluation.baselines.embedding import Embedding
from proxy.evaluation.bounds import share
from proxy.watch.distribution import moments, reference_of
from proxy.watch.vector import Projection, shipped

SIZES = (100, 1_500)
MIXES = (1.0, 0.5, 0.25, 0.1, 0.05)
TWINS = {"gsm8k_train": "gsm8k_test"}  # read alike on purpose: no pair, and not in the basis
FOLDS, SPLITS = 4, 5
NULLS, HONEST, ATTACKS = 200, 400, 100  # windows: a split's, a fold's, a fold's and mix's
MMD_SIZE, MMD_SHARE, MMD_POOL = (
    100,
    4,
    1_000,
)  # its windows are a quarter: it takes 20 times as long
WANTED = 0.004  # share of the windows that set a threshold above it, at most
# So much farther from their median is the threshold: those prompts are others than the tested ones,
# and of few prompts each part has a mean of its own. Chosen by benign windows alone.
MARGIN = 1.25
FEWEST = {100: 600, 1_500: 1_300}  # distinct prompts of a benign set, by window
BROAD = ("dolly_3k", "nq_open_dev", "openai_evals", "sgd_dialogues")
OURS, MMD = "vectors", "MMD"
# arXiv 2606.05725, over its 14 pairs: benign windows, then by MIXES.
PUBLISHED = {
    100: (0.007, 1.0, 0.989, 0.76, 0.046, 0.013),
    1_500: (0.003, 1.0, 1.0, 1.0, 0.936, 0.59),
}

Score = Callable[[np.ndarray], float]


@dataclass(frozen=True)
class Row:
    """Of `of` windows with a share `mix` of an attack ('' for none), `found` were found."""

    test: str
    benign: str
    attack: str
    size: int
    mix: float
    found: int
    of: int


@dataclass(frozen=True)
class Trial:
    """A test of windows: what makes its score of a reference's rows, a size and dice.

    share: it is given one in so many windows
    whole: it reads all rows of a window, not their sum
    """

    name: str
    share: int
    score: Callable[[np.ndarray, int, np.random.Generator], Score]
    whole: bool


def by_vectors(rows: np.ndarray, size: int, _: np.random.Generator) -> Score:
    found = reference_of(*moments(rows))
    return lambda total: found.distance(total, size)


def by_mmd(rows: np.ndarray, size: int, dice: np.random.Generator) -> Score:
    pool = rows[: max(size, MMD_POOL)]
    return mmd.reference(size, pool, dice).discrepancy


TRIALS = (Trial(OURS, 1, by_vectors, whole=False), Trial(MMD, MMD_SHARE, by_mmd, whole=True))


def chosen(rows: np.ndarray, size: int, dice: np.random.Generator) -> np.ndarray:
    """Return some prompts' rows; none twice if there are enough."""
    return rows[dice.choice(len(rows), size, replace=size > len(rows))]


def sums(rows: np.ndarray, size: int, many: int, dice: np.random.Generator) -> np.ndarray:
    """Return the sums of many windows' rows."""
    weights = np.zeros((many, len(rows)), np.float32)
    for place in range(many):
        picked = dice.choice(len(rows), size, replace=size > len(rows))
        weights[place] = np.bincount(picked, minlength=len(rows))
    found: np.ndarray = weights @ rows
    return found


def windows(
    trial: Trial, parts: Sequence[tuple[np.ndarray, int]], many: int, dice: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield what the trial reads of windows that take so many prompts of each part."""
    if trial.whole:
        for _ in range(many):
            yield np.concatenate([chosen(rows, size, dice) for rows, size in parts])
    else:
        yield from np.sum([sums(rows, size, many, dice) for rows, size in parts], axis=0)


def fold(
    trial: Trial,
    benign: np.ndarray,
    attacks: Mapping[str, np.ndarray],
    size: int,
    dice: np.random.Generator,
) -> Iterator[tuple[str, float, int, int]]:
    """Yield attack, mix, found and of, with one part of the benign prompts kept for the test."""
    order = dice.permutation(len(benign))
    part = int(0.3 * len(benign))
    kept, others = benign[order[:part]], order[part:]
    scores, nulls = [], []
    for _ in range(SPLITS):
        mixed = dice.permutation(others)
        score = trial.score(benign[mixed[part:]], size, dice)
        scores.append(score)
        honest = [(benign[mixed[:part]], size)]
        nulls += [score(each) for each in windows(trial, honest, NULLS // trial.share, dice)]
    middle = float(np.median(nulls))
    limit = middle + MARGIN * (sorted(nulls)[-1 - int(WANTED * len(nulls))] - middle)

    def above(parts: Sequence[tuple[np.ndarray, int]], many: int) -> tuple[int, int]:
        seen = enumerate(windows(trial, parts, many, dice))
        return sum(scores[place % SPLITS](each) > limit for place, each in seen), many

    yield "", 0.0, *above([(kept, size)], HONEST // trial.share)
    for name, rows in attacks.items():
        for mix in MIXES:
            bad = round(mix * size)
            parts = [(rows, bad), (kept, size - bad)] if bad < size else [(rows, bad)]
            yield name, mix, *above(parts, ATTACKS // trial.share)


def tested(
    trial: Trial,
    name: str,
    benign: np.ndarray,
    attacks: Mapping[str, np.ndarray],
    sizes: Sequence[int],
    seed: int,
    done: Callable[[], None],
) -> list[Row]:
    """Return the rows of one benign set, summed over the folds."""
    found: dict[tuple[str, int, float], list[int]] = {}
    for size in sizes:
        if len(benign) < FEWEST.get(size, 0):
            continue
        for number in range(FOLDS):
            dice = np.random.default_rng([seed, size, number])
            for attack, mix, above, of in fold(trial, benign, attacks, size, dice):
                each = found.setdefault((attack, size, mix), [0, 0])
                each[0] += above
                each[1] += of
            done()
    return [Row(trial.name, name, *key, *each) for key, each in found.items()]


def vectors(prompts: Sequence[str], make: Callable[[str], np.ndarray]) -> np.ndarray:
    """Return the vectors of prompts, a row each."""
    return np.stack([make(each) for each in prompts]).astype(np.float32)


def measured(data: pathlib.Path, seed: int, progress: Progress) -> list[Row]:
    """Return what was found on the prompt pack."""
    honest, attacks = honest_sets(data), attack_sets(data)
    task = progress.add_task("counting words", total=len(honest))
    by_source = {}
    for name, prompts in honest.items():
        by_source[name] = count_moments(prompts)
        progress.advance(task)
    members = {name: {name} for name in honest}
    members["+".join(BROAD)] = {name for name in BROAD if name in honest}
    task = progress.add_task("windows", total=len(members) * FOLDS * (len(SIZES) * 2 + 1))
    embed, bases, rows = Embedding(seed), {}, []
    plain = {name: vectors(prompts, embed) for name, prompts in {**honest, **attacks}.items()}
    for name, inside in members.items():
        prompts = [each for member in sorted(inside) for each in honest[member]]
        pairs = [attack for attack in attacks if TWINS.get(attack) not in inside]
        for twin in (False, True):
            some = [attack for attack in pairs if (attack in TWINS) == twin]
            left = frozenset(inside | {TWINS[attack] for attack in some if twin})
            bases[left] = bases.get(left) or without(by_source, left)
            make = Projection(f"{seed} {name}".encode(), bases[left])
            theirs = {attack: vectors(attacks[attack], make) for attack in some}
            own = vectors(prompts, make)
            step = lambda: progress.advance(task)  # noqa: E731
            rows += tested(TRIALS[0], name, own, theirs, SIZES, seed, step)
        own = np.concatenate([plain[member] for member in sorted(inside)])
        theirs = {attack: plain[attack] for attack in pairs}
        rows += tested(TRIALS[1], name, own, theirs, (MMD_SIZE,), seed, step)
    return together(rows)


def sampled(seed: int, progress: Progress) -> list[Row]:
    """Return what was found on the tests' own texts, with the shipped basis."""
    folder = pathlib.Path(__file__).parent.parent / "tests" / "population" / "sample"
    honest, attacks = sample_sets(folder)
    make, rows = Projection(str(seed).encode(), shipped()), []
    task = progress.add_task("windows", total=FOLDS)
    theirs = {name: vectors(prompts, make) for name, prompts in attacks.items()}
    for name, prompts in honest.items():
        own = vectors(prompts, make)
        rows += tested(TRIALS[0], name, own, theirs, (20,), seed, lambda: progress.advance(task))
    return together(rows)


def together(rows: Sequence[Row]) -> list[Row]:
    """Return rows with those of one thing added up."""
    found: dict[tuple[str, str, str, int, float], list[int]] = {}
    for row in rows:
        each = found.setdefault((row.test, row.benign, row.attack, row.size, row.mix), [0, 0])
        each[0] += row.found
        each[1] += row.of
    return [Row(*key, *each) for key, each in found.items()]


def told(rows: Sequence[Row]) -> str:
    """Return the shares with their 95 % bounds, in percent."""
    all_of = share(sum(row.found for row in rows), sum(row.of for row in rows))
    low, high = 100.0 * all_of.low, 100.0 * all_of.high
    return f"{100.0 * all_of.value:.3g} ({low:.3g} to {high:.3g})"


def mean_and_worst(rows: Sequence[Row]) -> str:
    shares = [100.0 * row.found / row.of for row in rows]
    return f"{np.mean(shares):.3g} (worst {min(shares):.3g})"


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the tables as markdown."""
    kinds = sorted(
        {(row.size, row.test) for row in rows}, key=lambda kind: (kind[0], kind[1] == MMD)
    )
    mixes = " | ".join(f"{100 * mix:.3g} % mix" for mix in MIXES)
    yield f"| window | test | benign windows above, % | {mixes} |"
    yield "|---:|---|---:|" + "---:|" * len(MIXES)
    for size, test in kinds:
        some = [row for row in rows if (row.size, row.test) == (size, test)]
        cells = [mean_and_worst([row for row in some if row.mix == mix]) for mix in MIXES]
        none = told([row for row in some if not row.attack])
        yield f"| {size:,} | {test} | {none} | {' | '.join(cells)} |"
        if size in PUBLISHED and test == OURS:
            marks = " | ".join(f"{100 * each:.3g}" for each in PUBLISHED[size])
            yield f"| {size:,} | as published, other sets | {marks} |"
    for size, test in kinds:
        some = [row for row in rows if (row.size, row.test) == (size, test)]
        yield ""
        yield f"Windows of {size:,}, {test}, by pair, % (95 % bounds):"
        yield ""
        yield "| benign set | benign windows above | attack | 25 % mix | 10 % mix | 5 % mix |"
        yield "|---|---:|---|---:|---:|---:|"
        for benign, attack in dict.fromkeys((row.benign, row.attack) for row in some if row.attack):
            own = [row for row in some if row.benign == benign]
            cells = [
                told([row for row in own if row.attack == attack and row.mix == mix])
                for mix in (0.25, 0.1, 0.05)
            ]
            none = told([row for row in own if not row.attack])
            yield f"| {benign} | {none} | {attack} | {' | '.join(cells)} |"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=pathlib.Path, help="the prompt pack's folder")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=pathlib.Path, help="also write the rows to this file")
    parser.add_argument("--markdown", action="store_true", help="print tables (the default)")
    args = parser.parse_args()
    console = Console(stderr=True)
    try:
        with Progress(console=console, disable=not console.is_terminal) as progress:
            found = measured(args.data, args.seed, progress) if args.data else None
            rows = sampled(args.seed, progress) if found is None else found
    except KeyboardInterrupt:
        return 130
    if args.json:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    print("\n".join(lines(rows)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

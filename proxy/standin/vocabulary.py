"""The stand-in's words: 256 of them, so that a byte is a word, and bytes come from a hash."""

from __future__ import annotations

from hashlib import shake_128

WORDS: tuple[str, ...] = tuple(
    """
    about above across after again air all along also always among animal answer any apple around
    ask autumn away back bank basket bean before begin behind below between big bird black blue
    board boat book both bread bridge bright bring brother build butter call calm came candle care
    carry castle chair change chart child circle city clean clear climb clock cloud coast cold
    colour come copper corner cotton count country cover cross dark day deep desert door down draw
    dream dry early earth east easy edge eight evening every fair fall family far farm father field
    fine finger fire first fish five floor flower follow food forest forward four free fresh friend
    front fruit full garden gather gentle give glass gold good grain grass great green ground group
    grow half hand harbour head hear heart heavy high hill hold home honey horse hour house hundred
    island join keep kind kitchen know lake lamp land large last late laugh leaf learn left letter
    level light line listen little long love low machine make many map market matter meadow measure
    middle mild milk mind moon morning mother mountain move much music name narrow near never new
    night north number ocean often old open orange order other over page paint paper part path
    pattern people picture place plain plant point quiet rain reach ready red rest rice ride right
    ring river road room root round salt same sand school sea season second seed shade shape short
    side silver simple sky small snow soft song south star stone street summer
    """.split()  # noqa: SIM905 - a list of 256 strings reads worse
)
SPACED: tuple[str, ...] = tuple(f" {word}" for word in WORDS)


def words(seed: bytes, count: int) -> list[str]:
    """Return `count` words that follow from the seed; a longer list begins with a shorter one."""
    return [WORDS[byte] for byte in shake_128(seed).digest(count)]


def pieces(seed: bytes, count: int) -> list[str]:
    """Return the same words as pieces of a text: each but the first has a space before it."""
    found = [SPACED[byte] for byte in shake_128(seed).digest(count)]
    if found:
        found[0] = found[0][1:]
    return found


def number(seed: bytes, below: int) -> int:
    """Return a number from 0 up to and without `below` that follows from the seed."""
    return int.from_bytes(shake_128(seed).digest(8)) % below

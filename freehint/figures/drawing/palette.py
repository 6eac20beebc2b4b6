"""Every colour of figures and players, in one place.

They are Okabe and Ito's (2008) and one of Tol's (2021), which colour-blind readers can tell apart.
A meaning has one colour in every figure, player and sentence: THEMES has the colours by meaning,
and what stands in one legend differs.  Colours without a meaning (of guests, orders, rounds of a
migration) are taken by name.  ``tests/figures/test_palette.py`` measures the distances for three
kinds of colour blindness, and reads the meanings from figures, players and sentences.

A policy has the name of its colour, and its mark; BY_NAME has the colour's value.
"""

from freehint.policies import AGENTS, POLICIES
from freehint.policies.policy import Policy

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GREY, PALE = "#999999", "#E6E6E6"
WINE = "#AA3377"  # Tol (2021), "bright": the ninth colour
BY_NAME = {
    "black": BLACK,
    "orange": ORANGE,
    "sky": SKY,
    "green": GREEN,
    "yellow": YELLOW,
    "blue": BLUE,
    "vermilion": VERMILION,
    "purple": PURPLE,
    "grey": GREY,
    "wine": WINE,
}

# The colour of each meaning, the same in every theme, figure and player.
SHARED = {
    "free": SKY,
    "pcp": BLUE,
    "hinted": GREEN,  # the ring took the hint, or the host has used it
    "stale": ORANGE,  # allocated while its hint was on the ring
    "reused": YELLOW,  # allocated after the host had used its hint
    "twice": ORANGE,  # hinted again, though the host knew it
    "held": PURPLE,  # held for the host
    "lost": VERMILION,  # the ring was full
    "wait": WINE,  # a CPU waits for a zone lock
    "left": BLUE,  # to be sent by the migration
    "UNMOVABLE": VERMILION,
    "MOVABLE": SKY,
    "RECLAIMABLE": YELLOW,
    "HIGHATOMIC": PURPLE,
}
THEMES = {
    "light": {
        **SHARED,
        "ISOLATE": BLACK,
        "hold": BLACK,  # a policy holds a zone lock
        "used": PALE,
        "low": "#C3CAD3",
        "middle": "#808D9E",
        "high": "#3E4A5A",
        "paper": "#FFFFFF",
        "panel": "#F5F6F7",
        "ink": "#1B1F24",
        "faint": "#5B6470",
        "line": "#CDD2D8",
        "cursor": BLACK,
    },
    "dark": {
        **SHARED,
        "pcp": "#4F7FE0",
        "left": "#4F7FE0",
        "ISOLATE": "#FFFFFF",
        "hold": "#FFFFFF",
        "used": "#3A4048",
        "low": "#4A5666",
        "middle": "#8B98A9",
        "high": "#D3DAE2",
        "paper": "#14171B",
        "panel": "#1D2127",
        "ink": "#EDF0F3",
        "faint": "#A3ADB8",
        "line": "#414953",
        "cursor": "#FFFFFF",
    },
}
# The keys of colours that stand side by side in one legend.
STATES = ("used", "pcp", "free", "hinted", "stale", "reused", "held")
TYPES = ("UNMOVABLE", "MOVABLE", "RECLAIMABLE", "HIGHATOMIC", "ISOLATE")
TRACKS = ("hold", "wait", "hinted", "lost", "left", "panel")
FATES = ("hinted", "reused", "twice", "lost", "ink")
ORDERS = {"order 0 to 3": "low", "order 4 to 8": "middle", "order 9 and 10": "high"}
# The words that name a meaning in legends, captions and sentences.
WORDS = {
    "hold": ("held the lock", "holds the lock", "lock held", "held the zone lock"),
    "wait": ("waited", "CPU waits", "CPUs that wait"),
    "stale": ("while on the ring",),
    "reused": ("reused", "reuses", "taken after the host used"),
    "twice": ("hinted twice", "reported again"),
    "lost": ("lost",),
    "pcp": ("pcp lists", "per-CPU lists", "no walker sees"),
    "held": ("held for the host",),
    "hinted": (
        "hint held",
        "host told",
        "reported to it",
        "known to the host",
        "host was told",
        "taken by the ring",
        "not sent: a hint",
    ),
    "left": ("to be sent",),
    **{shade: (words,) for words, shade in ORDERS.items()},
    **{name: (name, name.capitalize()) for name in TYPES},
}


def policy_colour(name: str) -> str:
    """The colour of the policy with a name; the default colour if no policy has the name."""
    return BY_NAME[(POLICIES | AGENTS).get(name, Policy).colour]


def policy_mark(name: str) -> str:
    """The mark of the policy with a name; the default mark if no policy has the name."""
    return (POLICIES | AGENTS).get(name, Policy).mark


def meanings_in(text: str) -> set:
    """The meanings that a text names by one of their WORDS."""
    return {meaning for meaning, words in WORDS.items() if any(word in text for word in words)}

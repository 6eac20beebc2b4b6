"""The walker's knobs as a user writes them: ``rotate=on_exit resume=cursor capacity=96``."""

from freehint.config import InputError
from freehint.replay.walker.knobs import CURSOR, KNOBS, RESUME, ROTATE, policy_of

# Knobs whose values have names: name -> number.
NAMED = {
    "rotate": {name: number for number, name in enumerate(ROTATE)},
    # The module's own word for it is cursor, though a place inside of a list it cannot keep.
    "resume": {name: number for number, name in enumerate(RESUME)} | {"cursor": CURSOR},
    "lock": {"list_by_list": 0, "whole_call": 1},
    "full": {"lose": 0, "stop": 1},
}


def parse_policy(text: str) -> dict[str, int]:
    """The knobs that a text sets, as numbers; the module keeps its default for any other.

    Parameters
    ----------
    text : str
        Words KNOB=VALUE; a value is a number, or for some knobs a name.

    Raises
    ------
    InputError
        A knob is unknown or set twice, a value is none of it, or the values do not go together.

    Examples
    --------
    >>> parse_policy("rotate=on_exit resume=cursor capacity=96")
    {'rotate': 2, 'resume': 2, 'capacity': 96}
    """
    knobs = {}
    for word in text.split():
        name, equals, value = word.partition("=")
        if not equals:
            raise InputError(f"--policy: {word!r} must be KNOB=VALUE")
        if name not in KNOBS:
            raise InputError(f"--policy: there is no knob {name!r}; the knobs are {_known()}")
        if name in knobs:
            raise InputError(f"--policy: knob {name!r} is set twice")
        knobs[name] = _number(name, value)
    if not knobs:
        raise InputError(f"--policy: sets no knob; the knobs are {_known()}")
    defaults = {name: default for name, (default, _, _) in KNOBS.items()}
    try:
        policy_of(defaults | knobs)
    except InputError as error:
        raise InputError(f"--policy: {error}") from error
    return knobs


def _known() -> str:
    return ", ".join(KNOBS)


def _number(name: str, value: str) -> int:
    """The number of a knob's value, which may be a name."""
    names = NAMED.get(name, {})
    if value in names:
        return names[value]
    _, least, most = KNOBS[name]
    if not (value.isascii() and value.isdigit() and least <= int(value[:20]) <= most):
        called = f", or be one of {', '.join(names)}" if names else ""
        raise InputError(
            f"--policy: knob {name!r} must lie in {least}..{most}{called}, got {value!r:.80}"
        )
    return int(value)

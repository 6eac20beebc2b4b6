"""Errors, checks, and the base of the small frozen dataclasses that describe a scenario's parts.

Every field is checked when the object is made.  So a misspelt name or a senseless value is refused
before anything runs, and the message names the field and the value.
"""

import json
from dataclasses import fields, replace
from importlib import import_module

LONGEST_SENTENCE = 1_500


class InputError(ValueError):
    """A file or value from outside cannot be used; the message is one clear sentence.

    It stays one line that can be read, whatever it quotes: what cannot be printed is escaped, and
    the middle of a longer one is left out.
    """

    def __init__(self, sentence: str = ""):
        text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(sentence))
        if len(text) > LONGEST_SENTENCE:
            text = f"{text[:1_000]} [..] {text[-400:]}"
        super().__init__(text)


def require(good: bool, field: str, must: str, value) -> None:
    """Raise InputError, "<field> must <must>, got <value>", unless the value is good."""
    if not good:
        raise InputError(f"{field} must {must}, got {shown(value)}")


def shown(value, most: int = 200, text_of=repr) -> str:
    """A value as text for a message, cut to ``most`` characters."""
    try:
        text = text_of(value)
    except Exception:  # a stranger's __repr__; a whole number of more than 4300 digits
        return f"an unprintable {type(value).__name__}"
    return text if len(text) <= most else f"{text[:most]}..."


def shown_json(value, most: int = 200) -> str:
    """A value that came from JSON as text for a message, cut to ``most`` characters."""
    return shown(value, most, json.dumps)


def nearest(name, known) -> str:
    """The end of a message that refuses a name: the known one that it is most like.

    Returns
    -------
    str
        ``"; did you mean 'ring'?"``; empty if none is like it.
    """
    from difflib import get_close_matches  # seldom needed

    if not isinstance(name, str):
        return ""
    close = get_close_matches(name, [one for one in known if isinstance(one, str)], n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def whole(field: str, value, low: int, high: int | None = None) -> None:
    """Refuse a value that is not a whole number in ``low..high``."""
    span = f"be a whole number >= {low}" if high is None else f"be a whole number in {low}..{high}"
    good = isinstance(value, int) and not isinstance(value, bool)
    require(good and value >= low and (high is None or value <= high), field, span, value)


def share(field: str, value) -> None:
    """Refuse a value that is not a number in 0..1."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    require(good, field, "lie in 0..1", value)


def one_of(field: str, value, choices) -> None:
    """Refuse a value that is not one of ``choices``."""
    if value not in tuple(choices):
        known = ", ".join(map(str, choices))
        raise InputError(
            f"{field} must be one of {known}, got {shown(value)}{nearest(value, choices)}"
        )


class Named:
    """The base of dataclasses that refuse an unknown keyword with an InputError."""

    def __new__(cls, *_values, **named):
        names = [field.name for field in fields(cls)]
        for name in named:
            if name not in names:
                known = ", ".join(names)
                hint = nearest(name, names)
                raise InputError(f"{cls.__name__} has no parameter {name!r}; it has {known}{hint}")
        return super().__new__(cls)


def parameters(config) -> list:
    """The fields of a dataclass that are parameters.

    Returns
    -------
    list
        The dataclasses.Field of each field that ``==`` compares.
    """
    return [field for field in fields(config) if field.compare]


def require_name(name: str, names, where: str = "") -> None:
    """Refuse ``name``, or ``head.rest``, if ``names`` of the fields at ``where`` lack its head."""
    known = [where + one for one in names]
    head = where + name.partition(".")[0]
    if head not in known:
        raise InputError(
            f"there is no parameter {where + name!r}; there are {', '.join(known)}"
            f"{nearest(head, known)}"
        )


def with_values(config, values: dict, where: str = ""):
    """Copy a frozen dataclass and change named fields; a nested name is like ``"ring.size"``.

    Raises
    ------
    InputError
        There is no such field, or the new value is refused.
    """
    own, nested = {}, {}
    names = [field.name for field in parameters(config)]
    for name, value in values.items():
        head, _, rest = name.partition(".")
        require_name(name, names, where)
        if rest:
            nested.setdefault(head, {})[rest] = value
        else:
            own[head] = value
    for head, inner in nested.items():
        part = own.get(head, getattr(config, head))
        if not hasattr(part, "__dataclass_fields__"):
            first = next(iter(inner))
            if part is None:
                raise InputError(f"{where + head!r} is not set, so its {first!r} cannot be set")
            raise InputError(f"{where + head!r} has no parameter {first!r}")
        own[head] = with_values(part, inner, f"{where}{head}.")
    return replace(config, **own)


def extra(module: str, what_for: str, extra: str = "sweep"):
    """Import a module of a library that only one of freehint's extras installs.

    Parameters
    ----------
    module : str
        Its dotted name.
    what_for : str
        The feature that needs it; with it the message begins if the module is missing.
    extra : str
        "lab", "sweep" or "record".

    Returns
    -------
    module

    Raises
    ------
    InputError
        The library is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise InputError(
            f"{what_for} needs {error.name}, which is not installed; the extra {extra!r} brings it:"
            f" pip install 'freehint[{extra}]'"
        ) from None

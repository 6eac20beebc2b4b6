"""The fields of a row file: each is refused in one sentence with its place and value."""

import math

from freehint.config import InputError, nearest, shown


def require_known(table, keys: tuple, where: str) -> None:
    """Refuse a table with a field that is none of ``keys``."""
    if not isinstance(table, dict):
        raise InputError(f"{where} must be a table, got {shown(table)}")
    for name in table:
        if name not in keys:
            raise InputError(
                f"{where}: there is no field {shown(name)}; there are {', '.join(keys)}"
                f"{nearest(name, keys)}"
            )


def tables_of(table: dict, name: str) -> list:
    """The tables [[name]]; none if there are none."""
    found = table.get(name, [])
    if not isinstance(found, list):
        raise InputError(f"{name} must be tables [[{name}]], got {shown(found)}")
    return found


def text_of(table: dict, name: str, where: str) -> str:
    """A field that must be a text."""
    value = table.get(name)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where}: {name} must be a text, got {shown(value)}")
    return value


def number_of(table: dict, name: str, where: str):
    """A field that must be a finite number."""
    value = table.get(name)
    if type(value) not in (int, float) or not math.isfinite(value):
        raise InputError(f"{where}: {name} must be a number, got {shown(value)}")
    return value


def choice_of(table: dict, name: str, known, where: str, default=None) -> str:
    """A field that must be one of some texts."""
    value = table.get(name, default)
    if not isinstance(value, str) or value not in tuple(known):
        raise InputError(
            f"{where}: {name} must be one of {', '.join(known)}, got {shown(value)}"
            f"{nearest(value, known)}"
        )
    return value

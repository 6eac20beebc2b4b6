"""What comes back for an input: a refusal in one sentence, a sound object, or a finding."""

import traceback
from pathlib import Path
from typing import NamedTuple

import freehint
from freehint import InputError, InvariantError
from freehint.config import LONGEST_SENTENCE

REFUSED, ACCEPTED = "refused", "accepted"
TRACEBACK, HANG, CRASH, SILENT = "traceback", "hang", "crash", "silent acceptance"
FINDINGS = (TRACEBACK, HANG, CRASH, SILENT)
CLASSES = (REFUSED, ACCEPTED, *FINDINGS)
PACKAGE = str(Path(freehint.__file__).parent)


class Verdict(NamedTuple):
    """A class of CLASSES; the exception's text; where it came from, to count equal findings."""

    kind: str
    text: str = ""
    place: str = ""


def require(good, what: str) -> None:
    """Say that an accepted object is unsound, unless it is good."""
    if not good:
        raise Unsound(what)


class Unsound(Exception):
    """An object was accepted that cannot be, or is another one after saving and loading."""


def judged(load, check, names) -> Verdict:
    """Load an input and class what comes back.

    Parameters
    ----------
    load : callable
        Takes nothing, and returns the loaded object.
    check : callable
        Takes the loaded object, and raises if it is unsound.
    names : collection of str
        A refusal must name one of these files or fields.
    """
    try:
        found = load()
    except (InputError, InvariantError) as error:
        return _refusal(error, names)
    except Exception as error:
        return Verdict(TRACEBACK, traceback.format_exc(), place(error))
    try:
        check(found)
    except Exception as error:
        return Verdict(SILENT, traceback.format_exc(), place(error))
    return Verdict(ACCEPTED)


def _refusal(error, names) -> Verdict:
    sentence = str(error)
    wrong = (
        "more than one line"
        if len(sentence.splitlines()) != 1
        else "too long"
        if len(sentence) > LONGEST_SENTENCE
        else "names none of its files or fields"
        if not any(name in sentence for name in names)
        else ""
    )
    if wrong:
        text = f"a refusal that is {wrong}: {sentence[:5000]}\n{traceback.format_exc()[-3000:]}"
        return Verdict(TRACEBACK, text, f"{wrong}, {place(error)}")
    return Verdict(REFUSED, sentence, place(error))


def place(error) -> str:
    """The last line of freehint that an exception came through, and the exception's type."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if PACKAGE in f.filename]
    kind = type(error).__name__
    if not frames:
        return f"{kind}: {str(error)[:80]}"
    last = frames[-1]
    return f"{kind} in {Path(last.filename).relative_to(PACKAGE)}:{last.lineno} {last.name}"

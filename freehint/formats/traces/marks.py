"""The recorder's marks around each step of a workload, such as "FH step 2 begin read a"."""

import re
from typing import NamedTuple

import pandas as pd

from freehint.formats.traces.table import MARKER

_MARK = re.compile(r"FH step (\d{1,6}) (begin|end) (.*?)(?: status (\d{1,6}))?", re.DOTALL)


class Step(NamedTuple):
    """A step of a workload; None for what the trace does not have.

    step : int              its number
    text : str              as the user wrote it
    begin_row, begin_us     ``seq`` of the mark before it, and its time
    end_row, end_us         the same of the mark after it
    status : int            exit status
    """

    step: int
    text: str
    begin_row: int | None = None
    begin_us: int | None = None
    end_row: int | None = None
    end_us: int | None = None
    status: int | None = None


def marked_steps(trace: pd.DataFrame) -> list[Step]:
    """The steps that have a mark in a trace, in the order of its rows.

    Parameters
    ----------
    trace : DataFrame
        With the columns seq, ts_us, event and gfp.
    """
    found = []
    marks = trace.loc[trace["event"] == MARKER, ["seq", "ts_us", "gfp"]]
    for row, us, text in marks.itertuples(index=False):
        match = _MARK.fullmatch(str(text))
        if not match:
            continue
        number, job = int(match[1]), match[3]
        if match[2] == "begin":
            found.append(Step(number, job, int(row), int(us)))
            continue
        ended = {
            "end_row": int(row),
            "end_us": int(us),
            "status": None if match[4] is None else int(match[4]),
        }
        if found and found[-1].step == number and found[-1].end_row is None:
            found[-1] = found[-1]._replace(**ended)
        else:
            found.append(Step(number, job, **ended))
    return found

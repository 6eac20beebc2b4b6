"""The lines of text that ftrace, trace-cmd and perf print, as regular expressions.

Sources: kernel/trace/trace_output.c, trace_print_context() and trace_print_lat_fmt(); trace.c,
print_trace_line() (lost events) and print_trace_header(); trace_kprobe.c, print_kprobe_event();
trace-cmd's tracecmd/trace-read.c, trace_show_data(); perf's builtin-script.c,
perf_sample__fprintf_start().
"""

import re

from freehint.formats.traces.table import PLAIN_EVENTS

# The task: a comm has at most 15 characters, which may be blanks and dashes.  Without this bound
# a marker with a text like an event's would be read as an event.
COMM = r" *(?P<comm>.{0,15}?)"
TASK = {
    # comm-pid, and the tgid in brackets if options/record-tgid is on
    "ftrace": COMM + r"-(?P<pid>[0-9]+) +(?:\([ 0-9-]+\) +)?",
    # comm pid, or comm pid/tid
    "perf": COMM + r" +(?:[0-9]+/ *)?(?P<pid>-?[0-9]+) +",
}
TASK["trace-cmd"] = TASK["ftrace"]
# Place and time: [cpu], the flags column (irqs off, need-resched, ...) if there is one, seconds.
CPU = r"[0-9]{1,9}"
SECONDS = r"(?P<sec>[0-9]{1,12})\.(?P<us>[0-9]{6})(?:[0-9]{3})?"
WHEN = rf"\[(?P<cpu>{CPU})\] +(?:[^ ]+ +)?{SECONDS}: +"
SYSTEM = {"ftrace": "", "trace-cmd": "", "perf": r"(?:[^ :]+:)?"}  # kmem:mm_page_alloc
USUAL_SYSTEM = {"ftrace": "", "trace-cmd": "", "perf": "(?:kmem:)?"}
PFN = r"pfn=(?:0x(?P<hex>[0-9a-f]+)|(?P<dec>[0-9]+))"  # decimal in older kernels
PAGE = (
    rf"page=[^ ]+ {PFN} order=(?P<order>[0-9]+)"
    r"(?: migratetype=(?P<migratetype>[0-9]+)"
    r"(?: gfp_flags=(?P<gfp>[^ ]+)| percpu_refill=(?P<a>[0-9]+))?)?"
)
LOST = r"^ *CPU:(?P<cpu>[0-9]+) \[(?:LOST )?(?:(?P<n>[0-9]+) )?EVENTS(?: DROPPED)?\] *$"
PERF_LOST = rf"^{TASK['perf']}{WHEN}PERF_RECORD_LOST(?:_SAMPLES)? lost (?P<n>[0-9]+)"
COMMENT = r"^(?:#.*|(?:cpus|version) *= *[0-9]+|CPU [0-9]+ is empty) *$"
OVERWRITTEN = r"^# entries-in-buffer/entries-written: (?P<kept>[0-9]+)/(?P<written>[0-9]+)"
LATENCY = re.compile(r"^#.* latency trace v", re.MULTILINE)


def plain_pattern(kind: str) -> str:
    """The regular expression for lines of the usual tracepoints in the format ``kind``."""
    events = "|".join(PLAIN_EVENTS)
    return f"^{TASK[kind]}{WHEN}{SYSTEM[kind]}(?P<event>{events}): +{PAGE} *$"


def usual_pattern(kind: str) -> str:
    """A faster regular expression for most lines of ``plain_pattern``, with the same groups.

    Each byte of a line tells how to go on.  Then, and only then, does polars' engine find all
    groups in one pass (regex-automata, dfa::onepass).  So the task is one group, for
    ``task_pattern``, because a comm may end at any of its blanks and dashes; and these are left to
    ``plain_pattern``: flags that begin with a digit, a decimal pfn that begins with 0, a blank at
    the line's end, and a second ``[``, which might be where the task ends.
    """
    return (
        rf"^(?P<task>[^\[]*)\[(?P<cpu>{CPU})\] +(?:[^ \[0-9][^ \[]* +)?{SECONDS}: +"
        rf"{USUAL_SYSTEM[kind]}(?P<event>{'|'.join(PLAIN_EVENTS)}): +page=[^ \[]+ "
        r"pfn=(?:0x(?P<hex>[0-9a-f]+)|(?P<dec>[1-9][0-9]*)) order=(?P<order>[0-9]+)"
        r"(?: migratetype=(?P<migratetype>[0-9]+)"
        r"(?: (?:gfp_flags=(?P<gfp>[^ \[]+)|percpu_refill=(?P<a>[0-9]+)))?)?$"
    )


def task_pattern(kind: str) -> str:
    """The regular expression for the group ``task`` of ``usual_pattern``."""
    return f"^{TASK[kind]}$"


def any_pattern(kind: str) -> str:
    """The regular expression for the line of any event, with its name and its text as groups."""
    return f"^{TASK[kind]}{WHEN}{SYSTEM[kind]}(?P<event>[^ :]+): *(?P<said>.*)$"

"""The output of ``freehint report``."""

from pathlib import Path

from freehint.config import InputError
from freehint.reports.notebook import write_report
from freehint.reports.pdf import pdf_beside


def print_report(args) -> bool:
    """Write a report, and print where it is; of a stored run also whether it was reproduced."""
    parameters = dict(args.parameter)
    if args.source is None:
        seen = None
        write_report(args.out, parameters, args.pdf)
    elif parameters:
        raise InputError(f"-p {next(iter(parameters))}=...: a run's report takes no parameters")
    else:
        # Figures and the player would double the time of an import.
        from freehint.reports.run_report import write_run_report

        seen = write_run_report(args.source, args.out, args.pdf)
        print(seen.verdict)
    print(f"report: {args.out}")
    if args.pdf:
        print(f"pdf: {pdf_beside(Path(args.out))}")
    print(f"next: open {args.out} in a browser; it needs no network and no Python")
    return not (seen and seen.differences)

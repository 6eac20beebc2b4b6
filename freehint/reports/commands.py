"""The output of ``freehint report``."""

from pathlib import Path

from tqdm.auto import tqdm

from freehint.config import InputError
from freehint.reports.notebook import write_report
from freehint.reports.pdf import pdf_beside


def print_report(args) -> bool:
    """Write a report, and print where it is; of a stored run also whether it was reproduced."""
    parameters = dict(args.parameter)
    if args.knobs:
        return _print_knobs(args)
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


def _print_knobs(args) -> bool:
    """Write the report of every combination of some knobs."""
    for what, given in (("-p", args.parameter), ("--pdf", args.pdf)):
        if given:
            raise InputError(f"--knobs does not go with {what}")
    if args.source is None:
        raise InputError("--knobs needs a scenario's TOML file")
    # As above.
    from freehint.reports.knobs.combinations import counted
    from freehint.reports.knobs.report import write_knobs_report

    with tqdm(desc="runs", leave=False, delay=1) as bar:

        def progress(done, total):
            bar.total, bar.n = total, done
            bar.refresh()

        counts = write_knobs_report(args.source, args.knobs, args.out, progress)
    print(counted(*counts))
    print(f"report: {args.out}")
    print(f"next: open {args.out} in a browser and turn its knobs; it needs no Python")
    return True

"""The output of ``freehint batch``."""

import json
import shlex

from tqdm.auto import tqdm

from freehint.reports.batch.batch import read_batch
from freehint.reports.batch.folder import check_folder
from freehint.reports.batch.run import failure_text, left_runs, run_batch, statuses
from freehint.sweeps.status import FAILED


def print_batch(args) -> bool:
    """Run a batch, or continue it, and print the runs that failed."""
    batch = read_batch(args.file)
    check_folder(batch)
    again = f"freehint batch {shlex.quote(args.file)}"
    if args.dry_run:
        for number, status in statuses(batch).items():
            print(f"{number:4} {status:6} {json.dumps(batch.runs[number - 1])}")
        print(f"next: {again} runs those that are not done")
        return True
    total = len(batch.runs)
    # Runs that were finished before do not count for the speed.
    initial = total - len(left_runs(batch, args.retry))
    with tqdm(total=total, initial=initial, desc="runs") as bar:

        def progress(finished, running, failed):
            bar.set_postfix(running=running, failed=failed, refresh=False)
            bar.n = finished
            bar.refresh()

        try:
            records = run_batch(batch, args.retry, progress)
        except KeyboardInterrupt:
            raise ChildProcessError(
                f"interrupted with {bar.n} of {total} runs finished; the same command continues"
            ) from None
    failed = [record for record in records if record["status"] == FAILED]
    print(f"{total - len(failed)} done, {len(failed)} failed: {batch.out / 'index.html'}")
    for record in failed:
        print(failure_text(batch, record))
    if failed:
        print(f"next: {again} --retry runs the failed ones again")
    else:
        print(f"next: open {batch.out / 'index.html'} in a browser; docs/batches.md tells more")
    return not failed

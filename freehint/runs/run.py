"""The results of a run: tables, one row of summary, and the provenance that reproduces it."""

import json
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from freehint.config import InputError
from freehint.files import whole_folder
from freehint.inputs.reading import frame_of, read_bytes, table_of
from freehint.mm.memory import Memory
from freehint.runs.provenance import read_provenance
from freehint.runs.readable import (
    MIGRATION_READABLE,
    MORE_READABLE,
    READABLE,
    WAITS_READABLE,
    WALK_ONLY,
)
from freehint.runs.summary import waiting
from freehint.runs.tables.names import FURTHER_TABLES, TABLES, further_tables
from freehint.runs.tables.remains import Remains
from freehint.units import micro

if TYPE_CHECKING:
    import pandas as pd

METADATA_KEY = b"freehint"


@dataclass(frozen=True)
class Run:
    """The tables of one simulated run, each made when it is asked for first.

    Attributes
    ----------
    summary : Series
        One row with a unit in every name.  docs/model.md defines each entry.
    reports : DataFrame
        One row per block offered to the ring: time_ns, user, stroke, zone, order, migratetype,
        pfn, nr_pages, taken, duplicate.
    locks : DataFrame
        One row per hold of a zone lock by a policy: user, stroke, zone, since_ns, held_ns, blocks.
    waits : DataFrame
        One row per operation of a guest CPU that waited for a zone lock: since_ns, cpu, zone,
        kind, wait_ns.
    walks : DataFrame
        One row per walk: user, begin_ns, end_ns (-1 = not ended), completed (False = stopped),
        walkable_pages, covered_pages, offered_pages, hinted_pages, lost_pages, duplicate_pages,
        compacted_pages and compact_ns (moved by a compaction before the walk, and its time).
    history : DataFrame
        Free memory at 101 moments: time_s, order, blocks, free_pages; order -1: on pcp lists.
    rounds : DataFrame
        One row per sync of the migration's bitmap: time_ns, sent_bytes, normal_pages, zero_pages,
        hinted_pages (since its start), dirty_pages (new in the bitmap), left_pages.
    violations : DataFrame
        Rules of the virtio specification that were broken, one row per policy and rule: paragraph,
        rule ("MUST", "SHOULD"), who ("driver", "device"), what (it did), user, times (blocks, pages
        or commands), first_ns, pfn of the first (-1: it is about no page).
    resident : DataFrame
        If the host discards: time_s, resident_pages of the guest's memory, faults so far.
    work : DataFrame
        A recorded guest's progress then: time_s, cpu, rows (of the trace, done), slip_ns (delay).
    held, balloon : DataFrame
        Pages that each policy holds for the host at these moments: time_s, user, pages; each batch
        of the balloon: time_s, target_pages, pages, out_of_puff (True: no page was left).
    reclaim : DataFrame
        For a guest under pressure, every ``course_ns``: time_ns, free_pages, pcp_pages,
        kswapd_awake, pages on the four LRU lists, dirty_pages, writeback_pages, swap_free_pages,
        and the counters of /proc/vmstat since T0 by their names.
    jobs : DataFrame
        For a guest under pressure, one row per step: step, begin_ns, end_ns, outcome ("done",
        "killed" by the OOM killer, "not ended"), stalls and stall_ns of direct reclaim and
        compaction, allocations, ooms.
    parks, stranded : DataFrame
        For a guest that is parked, one row per snapshot from which it was restored, and one per
        snapshot and cause for which pages were resident and stored; docs/model.md has the columns.
    provenance : dict
        Parameters, inputs with sha256, versions.
    memory : Memory or None
        The guest's memory at the end, which is not saved.
    """

    summary: "pd.Series"
    reports: "pd.DataFrame"
    locks: "pd.DataFrame"
    waits: "pd.DataFrame"
    walks: "pd.DataFrame"
    history: "pd.DataFrame"
    rounds: "pd.DataFrame"
    violations: "pd.DataFrame"
    resident: "pd.DataFrame"
    work: "pd.DataFrame"
    held: "pd.DataFrame"
    balloon: "pd.DataFrame"
    reclaim: "pd.DataFrame"
    jobs: "pd.DataFrame"
    parks: "pd.DataFrame"
    stranded: "pd.DataFrame"
    provenance: dict
    memory: Memory | None = None

    @classmethod
    def of(cls, remains: Remains, provenance: dict, memory: Memory) -> "Run":
        """The run of which this is left."""
        run = cls.__new__(cls)
        run.__dict__.update(_remains=remains, provenance=provenance, memory=memory)
        return run

    def __getattr__(self, name):
        # What is not there yet.  Pandas takes longer to import than the default scenario to run.
        if "_remains" not in self.__dict__ or name not in self.__dataclass_fields__:
            raise AttributeError(f"a Run has no {name!r}")
        from freehint.runs.tables.frames import frame

        self.__dict__[name] = table = frame(name, self._remains)
        return table

    def __dir__(self):
        return sorted({*super().__dir__(), *self.__dataclass_fields__})

    @property
    def table_names(self) -> tuple:
        """The names of the tables that it has, the summary first."""
        return TABLES + further_tables(self.provenance)

    def save(self, folder) -> Path:
        """Write the tables as parquet files, each with the provenance inside.

        The folder appears complete or not at all.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        InputError
            The folder exists already.
        """
        from freehint.runs.tables.stored import with_texts

        folder = Path(folder)
        metadata = {METADATA_KEY: json.dumps(self.provenance).encode()}
        with whole_folder(folder) as temporary:
            for name in self.table_names:
                table = getattr(self, name)
                if name == "summary":
                    table = table.to_frame().T.infer_objects()
                arrow = with_texts(pa.Table.from_pandas(table, preserve_index=False))
                arrow = arrow.replace_schema_metadata({**arrow.schema.metadata, **metadata})
                pq.write_table(arrow, temporary / f"{name}.parquet", compression="zstd")
        return folder

    @classmethod
    def load(cls, folder) -> "Run":
        """Read a run that :meth:`save` wrote.

        Raises
        ------
        InputError
            A table is missing, not whole or not a run's, or the provenance does not fit its
            schema.
        """
        import pandas as pd

        from freehint.runs.tables.stored import check_summary, check_table

        folder = Path(folder)
        tables = {}
        provenance = None
        names = list(TABLES)
        for name in names:
            path = folder / f"{name}.parquet"
            arrow = table_of(read_bytes(path), path)
            stored = (arrow.schema.metadata or {}).get(METADATA_KEY)
            if stored is None:
                raise InputError(f"{path}: has no provenance, so it is no table of a run")
            if provenance not in (None, stored):
                raise InputError(f"{path}: is the table of another run than those beside it")
            if provenance is None:
                facts = read_provenance(stored, path)
                names += further_tables(facts)
            provenance = stored
            tables[name] = frame_of(arrow, path)
        found = tables.pop("summary")
        shown = READABLE + (MIGRATION_READABLE if "migration" in found else ())
        entries = ("policy", "seed", *(entry for _, entry, _ in shown))
        summary = check_summary(found, entries, folder / "summary.parquet")
        for name, table in tables.items():
            check_table(name, table, folder / f"{name}.parquet")
        for name in FURTHER_TABLES:
            tables.setdefault(name, pd.DataFrame())
        return cls(summary=summary, provenance=facts, **tables)

    def citations(self) -> "pd.DataFrame":
        """The mails, commits, papers and recordings behind exactly what this run used.

        Returns
        -------
        DataFrame
            As :func:`freehint.citations` tells; :func:`freehint.bibtex` writes it as BibTeX.
        """
        from freehint.runs.cited.citations import citations

        return citations(self)

    def save_perfetto(self, path, trajectory=None) -> Path:
        """Write the run as a trace that ui.perfetto.dev opens; times are exact, in ns.

        There is a track for each CPU (its waits for zone locks), for each zone's lock (its holds
        by policies), for each policy (walks, strokes, every block that it offered to the ring, and
        what was taken and lost so far), for the host (its memory, if it discards) and for the
        migration (rounds, the stop of the guest, bytes sent).

        Parameters
        ----------
        path : str or Path
            The file to write; it appears whole or not at all.
        trajectory : Trajectory, optional
            Of this run, from :func:`freehint.record`: with it each ring has a track of the buffers
            in flight.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        InputError
            The file cannot be written, or the trajectory is of another run.

        Source: perfetto, protos/perfetto/trace/track_event.
        """
        from freehint.runs.tracks import trace_of

        return trace_of(self, trajectory).save(path)

    def __repr__(self) -> str:
        # Its fields are tables and a whole memory, which no terminal can show.
        facts = readable(self)
        width = max(map(len, facts))
        lines = [f"  {label:{width}}  {value}" for label, value in facts.items()]
        return "\n".join([f"Run of {self.summary['policy']}, seed {self.summary['seed']}", *lines])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td style='text-align:left'>{label}</td><td>{escape(micro(str(value)))}</td></tr>"
            for label, value in readable(self).items()
        )
        head = f"policy <b>{escape(str(self.summary['policy']))}</b>,"
        head += f" seed {escape(str(self.summary['seed']))}"
        return f"<div><p>{head}</p><table>{rows}</table></div>"


def readable(run: Run) -> dict:
    """A run's summary for people: label -> text with the unit that reads best.

    Parameters
    ----------
    run : Run

    Returns
    -------
    dict
        Labels and texts; what the run has not got is a dash.
    """
    walked = run.summary["strokes"] > 0
    found = {**run.summary, **waiting(run.summary, run.waits)}
    rows = READABLE + WAITS_READABLE
    for more, entry in MORE_READABLE:
        rows += more if entry in found else ()
    facts = {
        label: write(found[name]) if walked or name not in WALK_ONLY else "–"
        for label, name, write in rows
    }
    for who, table in run.violations.groupby("who", observed=True):
        facts[f"virtio rules broken by the {who}"] = f"{len(table)}, see run.violations"
    return facts

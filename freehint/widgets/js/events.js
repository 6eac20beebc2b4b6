// What happens in a run, and when: bars of holds and waits, and events to step through.

const EVENTS = {
  stroke: "strokes", wait: "waits for a stroke", loss: "losses", reuse: "reuse", sync: "syncs",
};

// The number of elements of an ascending array that are not above a value.
function upTo(array, value) {
  let low = 0, high = array.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (array[middle] <= value) low = middle + 1; else high = middle;
  }
  return low;
}

// Bars of one zone or CPU, each from begin to end in ns, in the order of time.
class Bars {
  constructor(begins, lengths, rows) {
    this.rows = rows.sort((a, b) => begins[a] - begins[b] || lengths[a] - lengths[b]);
    this.begin = Float64Array.from(rows, (row) => begins[row]);
    this.end = Float64Array.from(rows, (row) => begins[row] + lengths[row]);
  }

  // The index of the bar that lasts at a time; -1 if there is none.
  at(ns) {
    const last = upTo(this.begin, ns) - 1;
    return last >= 0 && ns < this.end[last] ? last : -1;
  }

  get total() {
    return this.end.reduce((sum, end, i) => sum + end - this.begin[i], 0);
  }

  // One Bars for each of ``n`` values of ``of``.
  static byValue(begins, lengths, of, n) {
    const rows = Array.from({length: n}, () => []);
    of.forEach((value, row) => rows[value]?.push(row));
    return rows.map((its) => new Bars(begins, lengths, its));
  }
}

// All events, {kind, time, row}, in the order of time.
function findEvents(t) {
  const found = [...strokesOf(t), ...waitsForStrokes(t), ...lossesOf(t), ...reusesOf(t)];
  t.arrays["rounds.time_ns"].forEach((time, row) => found.push({kind: "sync", time, row}));
  return found.sort((a, b) => a.time - b.time);
}

// Each stroke begins with its first hold of a lock; a hold that finds nothing at once is left out.
function strokesOf({arrays}) {
  const first = new Map(), since = arrays["locks.since_ns"];
  since.forEach((time, row) => {
    if (!arrays["locks.held_ns"][row] && !arrays["locks.blocks"][row]) return;
    const key = `${arrays["locks.user"][row]} ${arrays["locks.stroke"][row]}`;
    if (!first.has(key) || time < since[first.get(key)]) first.set(key, row);
  });
  return [...first.values()].map((row) => ({kind: "stroke", time: since[row], row}));
}

// Waits while a policy held the zone's lock; CPUs that wait for each other do so all the time.
function waitsForStrokes(t) {
  return t.waits.flatMap((bars) => bars.rows.flatMap((row, i) => {
    const holds = t.holds[t.arrays["waits.zone"][row]];
    const last = upTo(holds.begin, bars.end[i]) - 1;
    if (last < 0 || holds.end[last] <= bars.begin[i]) return [];
    return [{kind: "wait", time: bars.begin[i], row}];
  }));
}

// Hints that are lost one after another are one event.
function lossesOf({arrays}) {
  const taken = arrays["reports.taken"], user = arrays["reports.user"], before = new Map(), found = [];
  arrays["reports.time_ns"].forEach((time, row) => {
    if (!taken[row] && before.get(user[row]) !== 0) found.push({kind: "loss", time, row});
    before.set(user[row], taken[row]);
  });
  return found;
}

// A moment by which the guest has taken hinted memory, after one without; ``row`` is the moment.
function reusesOf(t) {
  const risen = (f) => f > 0 && t.tally(f, "reused") > t.tally(f - 1, "reused"), found = [];
  t.time.forEach((time, f) => {
    if (risen(f) && !risen(f - 1)) found.push({kind: "reuse", time, row: f});
  });
  return found;
}

// Sums of pages over the first 0, 1, 2 .. reports.
function hintsUpTo(arrays) {
  const taken = arrays["reports.taken"], again = arrays["reports.duplicate"], n = taken.length;
  const sums = {taken: new Float64Array(n + 1), lost: new Float64Array(n + 1), twice: new Float64Array(n + 1)};
  arrays["reports.order"].forEach((order, row) => {
    const pages = 2 ** order;
    sums.taken[row + 1] = sums.taken[row] + pages * taken[row];
    sums.lost[row + 1] = sums.lost[row] + pages * (1 - taken[row]);
    sums.twice[row + 1] = sums.twice[row] + pages * again[row];
  });
  return sums;
}

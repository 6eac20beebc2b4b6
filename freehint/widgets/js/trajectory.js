// Reads the payload of freehint/runs/trajectory/payload.py into typed arrays, and answers questions about it.

const TYPES = {
  uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array,
  int32: Int32Array, float64: Float64Array,
};
const NR_ORDERS = 11;
// Entries of a list: freehint/runs/trajectory/look.py.
const NODE_MASK = (1 << 28) - 1, IN_FLIGHT = 1 << 28, HOST_HAS = 1 << 29, MARKED = 1 << 30;
const PRIVATE = 0x80000000;
const HOLE = 255;
const SHORT_HOLD = 1, FIRST_USER = 2;
const CHANNELS = ["free", "pcp", "held", "hinted", "stale", "reused", "left"];

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

function sumUp(array, width) {
  for (let i = width; i < array.length; i++) array[i] += array[i - width];
}

function readPayload(buffer) {
  const magic = String.fromCharCode(...new Uint8Array(buffer, 0, 4));
  if (magic !== "FHT1") throw new Error(`this is no trajectory: it begins with ${magic}`);
  const length = new DataView(buffer).getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const start = Math.ceil((8 + length) / 8) * 8;
  const arrays = {};
  for (const [name, entry] of Object.entries(header.arrays)) {
    const size = entry.shape.reduce((a, b) => a * b, 1);
    const array = new TYPES[entry.dtype](buffer, start + entry.offset, size);
    if (entry.delta) sumUp(array, size / entry.shape[0]);
    arrays[name] = array;
  }
  return new Trajectory(header.meta, arrays);
}

class Trajectory {
  constructor(meta, arrays) {
    this.meta = meta;
    this.arrays = arrays;
    this.time = arrays["time_ns"];
    this.moments = this.time.length;
    this.cells = arrays["cells.free"].length / this.moments;
    this.pageblocks = arrays["types"].length / this.moments;
    this.channels = CHANNELS.map((name) => arrays[`cells.${name}`]);
    this.users = meta.policies.length;
    this.zones = meta.zones.length;
    this.rowsOfList = new Map();
    arrays["versions.list"].forEach((list, row) => {
      if (!this.rowsOfList.has(list)) this.rowsOfList.set(list, []);
      this.rowsOfList.get(list).push(row);
    });
    this.holds = Bars.byValue(arrays["locks.since_ns"], arrays["locks.held_ns"],
      arrays["locks.zone"], this.zones); // by zone
    this.waits = Bars.byValue(arrays["waits.since_ns"], arrays["waits.wait_ns"],
      arrays["waits.cpu"], meta.nr_cpus); // by CPU
    this.blocksOfHold = new Map();
    this.hintedUpTo = hintsUpTo(arrays);
    this.events = findEvents(this);
    this.eventTimes = Float64Array.from(this.events, (event) => event.time);
  }

  // The type of a cell's first pageblock; HOLE if there is no memory.
  typeOf(moment, cell) {
    const shift = this.meta.cell_shift;
    const block = shift >= 9 ? cell << (shift - 9) : (cell << shift) >> 9;
    return this.arrays["types"][moment * this.pageblocks + block];
  }

  // The row of a list's last version that is not later than the moment; -1 if it was always empty.
  row(list, moment) {
    const rows = this.rowsOfList.get(list) ?? [];
    const when = this.arrays["versions.moment"];
    let low = 0, high = rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (when[rows[middle]] <= moment) low = middle + 1; else high = middle;
    }
    return low ? rows[low - 1] : -1;
  }

  // {blocks, fromHead, entries} of a version.
  window(row) {
    if (row < 0) return {blocks: 0, fromHead: 0, entries: new Uint32Array(0)};
    const end = this.arrays["versions.end"];
    return {
      blocks: this.arrays["versions.blocks"][row],
      fromHead: this.arrays["versions.from_head"][row],
      entries: this.arrays["entries"].subarray(row ? end[row - 1] : 0, end[row]),
    };
  }

  get listsPerZone() {
    return NR_ORDERS * this.meta.migratetypes.length;
  }

  // {zone, order, type} of a free list, or {user} of a private list.
  listOf(list) {
    const types = this.meta.migratetypes.length, perZone = this.listsPerZone;
    if (list >= this.zones * perZone) return {user: list - this.zones * perZone};
    const rest = list % perZone;
    return {zone: Math.floor(list / perZone), order: Math.floor(rest / types), type: rest % types};
  }

  zoneOf(pfn) {
    let zone = this.zones - 1;
    while (zone > 0 && pfn < this.meta.zones[zone].start_pfn) zone--;
    return zone;
  }

  user(moment, user, name) {
    const names = this.meta.user;
    return this.arrays["user"][(moment * this.users + user) * names.length + names.indexOf(name)];
  }

  total(moment, name) {
    let sum = 0;
    for (let user = 0; user < this.users; user++) sum += this.user(moment, user, name);
    return sum;
  }

  // Pages "taken" by the rings, "lost" and taken "twice" up to a time, by all users.
  hints(name, ns) {
    return this.hintedUpTo[name][upTo(this.arrays["reports.time_ns"], ns)];
  }

  tally(moment, name) {
    const names = this.meta.tally;
    return this.arrays["tally"][moment * names.length + names.indexOf(name)];
  }

  migration(moment, name) {
    const names = this.meta.migration;
    return this.arrays["migration"][moment * names.length + names.indexOf(name)];
  }

  inFlight(moment, user) {
    return this.arrays["in_flight"][moment * this.users + user];
  }

  // The list of the block that was reported last; -1 if no walk is going on.
  walkedList(moment) {
    const walking = this.arrays["walking"].subarray(moment * this.users, (moment + 1) * this.users);
    const low = upTo(this.arrays["reports.time_ns"], this.time[moment]);
    if (!low || !walking.some((one) => one)) return -1;
    const [zone, order, type] = ["zone", "order", "migratetype"]
      .map((name) => this.arrays[`reports.${name}`][low - 1]);
    return (zone * NR_ORDERS + order) * this.meta.migratetypes.length + type;
  }

  // A policy's name in sentences; names made of all knobs are too long for them.
  nameOf(user) {
    const name = this.meta.policies[user];
    if (name.length <= 24) return name;
    return this.users > 1 ? `policy ${user + 1}` : "the policy";
  }

  // The last moment that is not later than a time.
  lastMoment(ns) {
    return Math.max(0, upTo(this.time, ns) - 1);
  }

  // Is a moment the one to show at a time?  Several moments may have the same time.
  isAt(moment, ns) {
    const last = moment === this.moments - 1;
    return this.time[moment] === ns || (this.time[moment] < ns && (last || ns < this.time[moment + 1]));
  }

  eventsAt(ns) {
    const end = upTo(this.eventTimes, ns);
    let begin = end;
    while (begin > 0 && this.eventTimes[begin - 1] === ns) begin--;
    return this.events.slice(begin, end);
  }

  // The next event of a kind ("any": of all) after a time, or with ``step`` -1 the last one before.
  nextEvent(ns, step, kind) {
    let at = step > 0 ? upTo(this.eventTimes, ns) : upTo(this.eventTimes, ns) - 1;
    while (step < 0 && this.eventTimes[at] === ns) at--;
    while (this.events[at] && kind !== "any" && this.events[at].kind !== kind) at += step;
    return this.events[at];
  }

  // The policy's hold of a zone's lock at a time, {user, row}; null if there is none.  A hold that
  // the run's end cut off has no row (-1): the moment knows its user.
  holderAt(zone, moment, ns) {
    const bars = this.holds[zone], at = bars.at(ns);
    if (at >= 0) return {user: this.arrays["locks.user"][bars.rows[at]], row: bars.rows[at]};
    const holder = this.arrays["holder"][moment * this.zones + zone];
    const cut = holder >= FIRST_USER && bars.at(this.time[moment]) < 0;
    return cut ? {user: holder - FIRST_USER, row: -1} : null;
  }

  // Does a CPU or a kernel thread hold a zone's lock?  It is known at the moments alone.
  heldBriefly(zone, moment, ns) {
    return ns === this.time[moment] && this.arrays["holder"][moment * this.zones + zone] === SHORT_HOLD;
  }

  // The CPUs that wait at a time, [{cpu, zone, since}].  Of a wait that the run's end cut off
  // nothing is known but the CPU: it waits for a lock that a policy holds.
  waitersAt(moment, ns) {
    const found = [];
    this.waits.forEach((bars, cpu) => {
      const at = bars.at(ns), now = this.time[moment];
      if (at >= 0) {
        const zone = this.arrays["waits.zone"][bars.rows[at]];
        found.push({cpu, zone, since: bars.begin[at]});
      } else if (cpu < 32 && this.arrays["waiting"][moment] >> cpu & 1 && bars.at(now) < 0) {
        const zone = this.holds.findIndex((_, one) => this.holderAt(one, moment, now));
        if (zone >= 0) found.push({cpu, zone, since: now});
      }
    });
    return found;
  }

  // The block that a hold of a lock has come to, {at, blocks, order, type}; null if it reported none.
  blockInHold(row, ns) {
    const a = this.arrays, time = a["reports.time_ns"];
    if (!this.blocksOfHold.has(row)) {
      const begin = a["locks.since_ns"][row], end = begin + a["locks.held_ns"][row], its = [];
      for (let report = upTo(time, begin); time[report] <= end; report++) {
        const mine = a["reports.user"][report] === a["locks.user"][row]
          && a["reports.zone"][report] === a["locks.zone"][row];
        if (mine) its.push(report);
      }
      this.blocksOfHold.set(row, its);
    }
    const reports = this.blocksOfHold.get(row);
    if (!reports.length) return null;
    const done = reports.findIndex((report) => time[report] > ns);
    const at = done < 0 ? reports.length : done + 1, report = reports[at - 1];
    const type = this.meta.migratetypes[a["reports.migratetype"][report]];
    return {at, blocks: reports.length, order: a["reports.order"][report], type};
  }

  // The block that holds a page at a moment; null if the windows of the lists do not show it.
  findBlock(moment, node) {
    for (const list of this.rowsOfList.keys()) {
      const {order} = this.listOf(list);
      const {entries, fromHead, blocks} = this.window(this.row(list, moment));
      for (let i = 0; i < entries.length; i++) {
        if (entries[i] >= PRIVATE) continue;
        const first = entries[i] & NODE_MASK;
        const size = order === undefined ? 1 : 1 << order;
        if (node < first || node >= first + size) continue;
        const at = i < fromHead ? i : blocks - (entries.length - i);
        return {list, first, order, at, entry: entries[i], blocks};
      }
    }
    return null;
  }

  // The moment at which the stay of a block that is on a list now began.
  standsSince(moment, list, first) {
    const rows = this.rowsOfList.get(list);
    let at = rows.indexOf(this.row(list, moment));
    while (at > 0) {
      const {entries} = this.window(rows[at - 1]);
      if (!entries.some((entry) => entry < PRIVATE && (entry & NODE_MASK) === first)) break;
      at--;
    }
    return this.arrays["versions.moment"][rows[at]];
  }

  // The last moment, up to this one, at which a block moved behind others of its list; -1 if none.
  movedAt(moment, list, first) {
    const rows = this.rowsOfList.get(list), when = this.arrays["versions.moment"];
    const nodes = (row) => [...this.window(row).entries]
      .filter((entry) => entry < PRIVATE).map((entry) => entry & NODE_MASK);
    let now = nodes(this.row(list, moment));
    for (let at = rows.indexOf(this.row(list, moment)); at > 0; at--) {
      const before = nodes(rows[at - 1]), was = before.indexOf(first);
      if (was < 0) break;
      const ahead = new Set(now.slice(0, now.indexOf(first)));
      if (before.slice(was + 1).some((node) => ahead.has(node))) return when[rows[at]];
      now = before;
    }
    return -1;
  }

  // At most ``most`` reports that named a page up to a moment, latest first.
  reportsOf(moment, pfn, most) {
    const time = this.arrays["reports.time_ns"], named = this.arrays["reports.pfn"];
    const order = this.arrays["reports.order"], now = this.time[moment], found = [];
    for (let row = time.length - 1; row >= 0 && found.length < most; row--) {
      if (time[row] <= now && pfn >= named[row] && pfn < named[row] + 2 ** order[row]) {
        found.push({
          time: time[row],
          stroke: this.arrays["reports.stroke"][row],
          user: this.arrays["reports.user"][row],
          taken: this.arrays["reports.taken"][row],
          duplicate: this.arrays["reports.duplicate"][row],
        });
      }
    }
    return found;
  }
}

// What the page says about one instant: a sentence, the texts beside the map, the block pointed at.

const MODES = ["pauses between strokes", "publishes blocks", "waits for a free descriptor",
  "waits for the host to use its buffers", "has published its blocks", "waits for a zone's lock",
  "waits for a zone's lock"];
const WHY = ["", "a stroke has chosen its blocks", "a stroke has settled its blocks",
  "the policy was called back, because a list ran empty"];

// A sentence about an instant: who waits, who holds which lock, or what happens next.
function sentenceAt(t, moment, now) {
  const clauses = t.eventsAt(now).map((event) => eventClause(t, event)).filter(Boolean);
  if (t.meta.migrates && t.migration(moment, "phase") === 2) clauses.push("the migration has stopped the guest");
  const waiters = t.waitersAt(moment, now);
  const zones = [...t.meta.zones.keys()];
  const busy = zones.filter((zone) => t.holderAt(zone, moment, now)
    || waiters.some((waiter) => waiter.zone === zone));
  clauses.push(...busy.map((zone) => lockClause(t, zone, waiters, moment, now)));
  if (!busy.length) clauses.push(...idleClauses(t, moment, now));
  const why = now === t.time[moment] ? WHY[t.arrays["why"][moment]] : "";
  return [...clauses, why].filter(Boolean).map((clause) => `${capital(t, clause)}.`).join(" ");
}

// A clause with a capital letter, unless it begins with a policy's name.
function capital(t, clause) {
  const names = t.meta.policies.filter((name, user) => name === t.nameOf(user));
  return names.some((name) => clause.startsWith(name)) ? clause : clause[0].toUpperCase() + clause.slice(1);
}

function eventClause(t, {kind, row}) {
  const {arrays, meta} = t;
  if (kind === "stroke") {
    const stroke = (arrays["locks.stroke"][row] + 1).toLocaleString("en");
    return `stroke ${stroke} of ${t.nameOf(arrays["locks.user"][row])} begins`;
  }
  if (kind === "loss") {
    const type = meta.migratetypes[arrays["reports.migratetype"][row]];
    return `a hint is lost, because the ring is full: order ${arrays["reports.order"][row]} ${type}`;
  }
  if (kind === "reuse") {
    const pages = t.tally(row, "reused") - t.tally(row - 1, "reused");
    return `the guest has taken ${formatPages(pages)} for which there was a hint`;
  }
  if (kind === "sync") {
    const left = formatPages(arrays["rounds.left_pages"][row]);
    return `sync ${row + 1} of the migration's bitmap: ${left} to send`;
  }
  return ""; // a wait: the clause about its lock names it
}

// Who waits for a zone's lock, since when, and who holds it for which block.
function lockClause(t, zone, waiters, moment, now) {
  const its = waiters.filter((waiter) => waiter.zone === zone), name = t.meta.zones[zone].name;
  const holder = t.holderAt(zone, moment, now), policy = holder ? t.nameOf(holder.user) : "";
  const block = holder?.row >= 0 ? t.blockInHold(holder.row, now) : null;
  const which = block ? `: order ${block.order} ${block.type}, block ${block.at.toLocaleString("en")}`
    + ` of ${block.blocks.toLocaleString("en")}` : "";
  if (!its.length) return `${policy} holds ${name}'s lock${which}; no CPU waits`;
  const longest = formatTime(Math.max(...its.map((waiter) => now - waiter.since)), 3);
  const since = longest === "0 ns" ? "as of now" : `for ${longest}`;
  const names = its.map((waiter) => waiter.cpu);
  const all = names.length === t.meta.nr_cpus ? `all ${names.length} CPUs`
    : names.length > 4 ? `${names.length} CPUs` : `CPUs ${names.join(", ").replace(/, (\d+)$/, " and $1")}`;
  const who = names.length > 1 ? `${all} wait for ${name}'s lock, the longest ${since}`
    : longest === "0 ns" ? `CPU ${names[0]} begins to wait for ${name}'s lock`
      : `CPU ${names[0]} has waited for ${name}'s lock ${since}`;
  return `${who}; ${holder ? `${policy} holds it${which}` : "another CPU holds it briefly"}`;
}

function idleClauses(t, moment, now) {
  const walking = t.meta.policies.flatMap((_, user) => {
    if (!t.arrays["walking"][moment * t.users + user]) return [];
    const {ring_size: size} = t.meta, n = t.inFlight(moment, user).toLocaleString("en");
    return [`${t.nameOf(user)} ${MODES[t.user(moment, user, "mode")]}; ${n} of ${size.toLocaleString("en")} descriptors are in flight`];
  });
  if (walking.length) return walking;
  const next = t.nextEvent(now, 1, "any");
  const then = next ? `the next event, a ${next.kind}, is at ${formatTime(next.time)}` : "no event follows";
  const pages = t.tally(moment, "reused");
  const back = pages ? `the guest has taken back ${formatPages(pages)} for which there was a hint; ` : "";
  return [`no policy walks; ${back}${then}`];
}

class Facts {
  constructor(page, trajectory) {
    this.page = page;
    this.trajectory = trajectory;
  }

  // Returns the sentence.
  write(moment, now, mark) {
    const t = this.trajectory, {meta, arrays} = t, sentence = sentenceAt(t, moment, now);
    write(this.page.sentence, sentence);
    write(this.page.timeText, formatTime(now));
    const between = now > t.time[moment] ? `, seen at ${formatTime(t.time[moment])}` : "";
    write(this.page.momentText, `moment ${moment + 1} of ${t.moments}${between}`);
    this.writeLocks(moment, now);
    this.page.gauges.forEach(({gauge, bar, text, worker}, user) => {
      const n = t.inFlight(moment, user);
      bar.style.width = `${100 * n / meta.ring_size}%`;
      bar.dataset.full = n >= meta.ring_size;
      gauge.setAttribute("aria-valuenow", n);
      const whose = t.users > 1 ? `${meta.policies[user]}: ` : "";
      write(text, `${whose}${n.toLocaleString("en")} in flight`);
      const walking = arrays["walking"][moment * t.users + user];
      const stroke = t.user(moment, user, "stroke") + 1, mode = MODES[t.user(moment, user, "mode")];
      write(worker, walking ? `stroke ${stroke.toLocaleString("en")}: ${mode}` : "no walk");
    });
    for (const name of ["taken", "lost", "twice"]) {
      write(this.page.facts[name], formatPages(t.hints(name, now)));
    }
    write(this.page.facts.stale, formatPages(t.tally(moment, "stale")));
    write(this.page.facts.reused, formatPages(t.tally(moment, "reused") - t.tally(moment, "stale")));
    if (meta.migrates) this.writeMigration(moment);
    this.writeBlock(moment, mark);
    return sentence;
  }

  writeLocks(moment, now) {
    const t = this.trajectory, waiters = t.waitersAt(moment, now);
    this.page.lockRows.forEach(({holder, cpus}, zone) => {
      const its = waiters.filter((waiter) => waiter.zone === zone), by = t.holderAt(zone, moment, now);
      const short = its.length || t.heldBriefly(zone, moment, now);
      write(holder, by ? t.nameOf(by.user) : short ? "a CPU, briefly" : "nobody");
      holder.dataset.who = by ? "policy" : short ? "cpu" : "nobody";
      const names = its.map((waiter) => waiter.cpu);
      const several = names.length > 3 ? `${names.length} CPUs wait` : `CPUs ${names.join(" ")} wait`;
      write(cpus, names.length > 1 ? several : names.length ? `CPU ${names[0]} waits` : "");
    });
  }

  writeMigration(moment) {
    const t = this.trajectory, phase = t.migration(moment, "phase");
    const round = upTo(t.arrays["rounds.time_ns"], t.time[moment]);
    const sent = t.migration(moment, "sent_bytes");
    const resting = round ? "over" : "not begun";
    write(this.page.facts.phase, [resting, `pre-copy, round ${round}`, "guest stopped"][phase]);
    write(this.page.facts.sent, `${(sent / 1e6).toFixed(1)} MB`);
    write(this.page.facts.left, phase ? formatPages(t.migration(moment, "pages_left")) : "–");
    write(this.page.facts.skipped, formatPages(t.migration(moment, "hinted")));
  }

  writeBlock(moment, mark) {
    if (!mark) {
      write(this.page.blockText, "Point at a block in the map or in a list; a click pins it.");
      return;
    }
    const lines = blockLines(this.trajectory, moment, mark.node);
    if (lines.join("\n") === this.blockLines) return;
    this.blockLines = lines.join("\n");
    const written = lines.map((line, i) => make(null, i ? "div" : "strong", {}, line));
    this.page.blockText.replaceChildren(...written);
  }
}

// Lines about the block at a node: its place, since when it has been there, and its hints.
function blockLines(t, moment, node) {
  const {meta} = t, pfn = node + meta.base_pfn;
  const block = t.findBlock(moment, node);
  const cell = node >> meta.cell_shift;
  const type = meta.migratetypes[t.typeOf(moment, cell)];
  const zone = meta.zones[t.zoneOf(pfn)].name;
  const name = meta.names[pfn] ? `${meta.names[pfn]}: ` : "";
  const lines = [];
  if (block && block.order !== undefined) {
    const first = block.first + meta.base_pfn, since = t.standsSince(moment, block.list, block.first);
    const listType = meta.migratetypes[t.listOf(block.list).type];
    lines.push(`${name}pfn ${first.toLocaleString("en")}, order ${block.order}`);
    lines.push(`free, ${zone}, ${shortType(listType)} list, place ${block.at + 1} of ${block.blocks}`);
    const moved = t.movedAt(moment, block.list, block.first);
    lines.push(`on this list ${since ? "since " + formatTime(t.time[since]) : "from the start"}`);
    if (moved >= 0) lines.push(`rotated towards the tail at ${formatTime(t.time[moved])}`);
  } else {
    lines.push(`${name}pfn ${pfn.toLocaleString("en")}`);
    lines.push(`${zone}, ${shortType(type)} pageblock`);
    lines.push(block ? "held for the host" : cellLine(t, moment, cell));
  }
  for (const hint of t.reportsOf(moment, pfn, 3)) {
    const fate = hint.taken ? (hint.duplicate ? "hinted again" : "hinted") : "hint lost";
    lines.push(`${fate} at ${formatTime(hint.time)}, stroke ${hint.stroke + 1}`);
  }
  return lines;
}

// A line about the shares of a cell; if it is a single page, its state and since when it has it.
function cellLine(t, moment, cell) {
  const at = (f) => t.channels.map((channel) => channel[f * t.cells + cell]);
  const [free, pcp, held, hinted, stale, reused] = at(moment);
  if (t.meta.cell_shift === 0) {
    let since = moment;
    while (since > 0 && at(since - 1).slice(0, 6).join() === at(moment).slice(0, 6).join()) since--;
    const state = free ? "free" : pcp ? "on a pcp list" : held ? "held for the host"
      : stale ? "in use, taken while its hint was on the ring"
      : reused ? "in use, taken after the host had used its hint" : "in use";
    const when = since ? `since ${formatTime(t.time[since])}` : "from the start";
    return `${state}${hinted ? ", host told" : ""} ${when}`;
  }
  const pages = 2 ** t.meta.cell_shift, share = (level) => Math.round(level / 255 * pages);
  const parts = [[free, "free"], [pcp, "on pcp lists"], [held, "held"], [hinted, "hinted"],
    [stale, WORDS.stale], [reused, WORDS.reused]]
    .filter(([level]) => level).map(([level, word]) => `${share(level)} ${word}`);
  return `of ${pages} pages about ${parts.join(", ") || "none is free"}`;
}

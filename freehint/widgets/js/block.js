// The description of one block.

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

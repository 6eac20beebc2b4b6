// The texts beside the map at one moment.

const MODES = ["pauses", "publishing", "waits for a descriptor", "waits for the host",
  "published", "waits for the lock", "waits for the lock"];
const WHY = ["", "a stroke has chosen its blocks", "a stroke has settled its blocks",
  "called back: a list ran empty"];

class Facts {
  constructor(page, trajectory) {
    this.page = page;
    this.trajectory = trajectory;
  }

  write(moment, mark) {
    const t = this.trajectory, {meta, arrays} = t;
    write(this.page.timeText, formatTime(t.time[moment]));
    write(this.page.momentText, `moment ${moment + 1} of ${t.moments}`);
    write(this.page.whyText, WHY[arrays["why"][moment]]);
    this.page.lockRows.forEach(({holder, cpus}, zone) => {
      const who = arrays["holder"][moment * t.zones + zone];
      const asleep = who >= FIRST_USER ? arrays["waiting"][moment] : 0;
      const stroke = t.users > 1 ? `stroke of ${meta.policies[who - FIRST_USER]}` : "a policy's stroke";
      write(holder, who >= FIRST_USER ? stroke
        : who === SHORT_HOLD ? "a CPU, briefly" : "nobody");
      holder.dataset.who = who >= FIRST_USER ? "policy" : who ? "cpu" : "nobody";
      const names = [...Array(meta.nr_cpus).keys()].filter((cpu) => asleep >> cpu & 1);
      const several = names.length > 3 ? `${names.length} CPUs wait` : `CPUs ${names.join(" ")} wait`;
      const waiting = names.length > 1 ? several : `CPU ${names[0]} waits`;
      write(cpus, names.length ? waiting : "");
    });
    this.page.gauges.forEach(({gauge, bar, text, worker}, user) => {
      const n = t.inFlight(moment, user);
      bar.style.width = `${100 * n / meta.ring_size}%`;
      bar.dataset.full = n >= meta.ring_size;
      gauge.setAttribute("aria-valuenow", n);
      const whose = t.users > 1 ? `${meta.policies[user]}: ` : "";
      write(text, `${whose}${n.toLocaleString("en")} in flight`);
      const walking = arrays["walking"][moment * t.users + user];
      const stroke = t.user(moment, user, "stroke") + 1, mode = MODES[t.user(moment, user, "mode")];
      write(worker, walking ? `walks, stroke ${stroke}: ${mode}` : "no walk");
    });
    write(this.page.facts.taken, formatPages(t.total(moment, "hinted")));
    write(this.page.facts.lost, formatPages(t.total(moment, "lost")));
    write(this.page.facts.twice, formatPages(t.total(moment, "duplicate")));
    write(this.page.facts.stale, formatPages(t.tally(moment, "stale")));
    write(this.page.facts.reused, formatPages(t.tally(moment, "reused")));
    if (meta.migrates) this.writeMigration(moment);
    this.writeBlock(moment, mark);
  }

  writeMigration(moment) {
    const t = this.trajectory, phase = t.migration(moment, "phase");
    const rounds = t.arrays["rounds.time_ns"], round = rounds.filter((time) => time <= t.time[moment]).length;
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

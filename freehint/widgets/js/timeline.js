// Tracks above the scrubber: holds of each zone's lock, waits of each CPU, and curves.

const MOST_CPUS = 8; // tracks of CPUs; the others share one more
const LEAST_WINDOW_NS = 1000;

class Timeline {
  constructor(canvas, playhead, trajectory) {
    this.canvas = canvas;
    this.playhead = playhead; // an element of its own, so that the tracks are drawn only once
    this.trajectory = trajectory;
    this.context = canvas.getContext("2d", {alpha: false});
    this.end = Math.max(trajectory.time[trajectory.moments - 1], 1);
    this.from = 0;
    this.upto = this.end;
    this.tracks = [...this.lockTracks(), ...this.waitTracks(), ...this.curves()];
  }

  lockTracks() {
    const {holds, meta, arrays} = this.trajectory;
    const tracks = holds.map((bars, zone) => ({
      name: meta.zones[zone].name, unit: "lock", bars: [bars], colour: "hold",
      words: (row) => this.trajectory.nameOf(arrays["locks.user"][row]),
    }));
    const held = tracks.filter((track) => track.bars[0].rows.length);
    return held.length ? held : tracks.slice(-1);
  }

  waitTracks() {
    const {waits, meta, arrays} = this.trajectory;
    const there = [...waits.keys()].filter((cpu) => waits[cpu].rows.length);
    const longest = new Set([...there].sort((a, b) => waits[b].total - waits[a].total)
      .slice(0, MOST_CPUS));
    const words = (row) => meta.zones[arrays["waits.zone"][row]].name;
    const track = (name, cpus) => ({name, unit: "waits", bars: cpus.map((cpu) => waits[cpu]),
      colour: "wait", words});
    const tracks = there.filter((cpu) => longest.has(cpu)).map((cpu) => track(`CPU ${cpu}`, [cpu]));
    const others = there.filter((cpu) => !longest.has(cpu));
    return others.length ? [...tracks, track(`${others.length} CPUs`, others)] : tracks;
  }

  curves() {
    const t = this.trajectory, all = [...Array(t.moments).keys()];
    const most = (values) => values.reduce((a, b) => Math.max(a, b), 1);
    const users = [...Array(t.users).keys()];
    const inFlight = all.map((f) => users.reduce((sum, user) => sum + t.inFlight(f, user), 0));
    const hinted = all.map((f) => t.total(f, "hinted")), lost = all.map((f) => t.total(f, "lost"));
    const pages = Math.max(most(hinted), most(lost));
    const curves = [
      {name: "ring", unit: "in flight", most: t.meta.ring_size.toLocaleString("en"), lines: [],
        areas: [[inFlight.map((n) => n / t.meta.ring_size / t.users), "hinted"]]},
      {name: "hints", unit: "taken, lost", most: formatPages(pages), areas: [],
        lines: [[hinted.map((n) => n / pages), "hinted"], [lost.map((n) => n / pages), "lost"]]},
    ];
    if (!t.meta.migrates) return curves;
    const left = all.map((f) => t.migration(f, "phase") ? t.migration(f, "pages_left") : 0);
    const sent = all.map((f) => t.migration(f, "sent_bytes"));
    return [...curves, {name: "migration", unit: "left, sent", most: formatPages(most(left)),
      areas: [[left.map((n) => n / most(left)), "left"]],
      lines: [[sent.map((n) => n / most(sent)), "ink"]], rounds: true}];
  }

  // Sizes.

  layOut(width, ratio, font) {
    this.font = font;
    this.gutter = Math.round(font * 10.5);
    this.margin = Math.round(font * 4.6); // at the right, for the value of a curve's full height
    this.ratio = ratio;
    this.width = width;
    let top = 0;
    for (const track of this.tracks) {
      track.top = top;
      track.height = Math.round(font * (track.bars ? 1.05 : 1.6));
      const group = track.bars && this.tracks[this.tracks.indexOf(track) + 1]?.colour === track.colour;
      top += track.height + (group ? 2 : 7);
    }
    this.foot = top;
    this.height = Math.ceil(top + font * 1.5);
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.canvas.style.height = `${this.height}px`;
    this.playhead.style.height = `${top - 4}px`;
  }

  // The part of the run on the axis.  It is kept inside the run, and at least a microsecond long.
  setWindow(from, upto) {
    const long = Math.min(this.end, Math.max(LEAST_WINDOW_NS, upto - from));
    this.from = Math.max(0, Math.min(this.end - long, from));
    this.upto = this.from + long;
  }

  get room() {
    return this.width - this.gutter - this.margin - 16;
  }

  // The x of a time; at the whole run it is over the middle of the scrubber's thumb.
  xOf(ns) {
    return this.gutter + 8 + this.room * (ns - this.from) / (this.upto - this.from);
  }

  timeAt(x) {
    const ns = this.from + (x - this.gutter - 8) / this.room * (this.upto - this.from);
    return Math.max(this.from, Math.min(this.upto, ns));
  }

  // Drawing.

  colour(theme) {
    this.theme = theme;
    const {context} = this;
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.fillStyle = theme.paper;
    context.fillRect(0, 0, this.width + 1, this.height + 1);
    for (const track of this.tracks) this.drawTrack(context, track);
    this.drawTimes(context);
  }

  drawTrack(context, track) {
    const {theme, font, gutter, room} = this, {top, height} = track, middle = top + height / 2;
    context.textBaseline = "middle";
    context.textAlign = "left";
    context.font = `600 ${font * 0.88}px ${theme.family}`;
    context.fillStyle = theme.ink;
    context.fillText(track.name, 0, middle, gutter * 0.6);
    const shift = Math.min(context.measureText(track.name).width, gutter * 0.6) + font * 0.5;
    context.font = `${font * 0.82}px ${theme.family}`;
    context.fillStyle = theme.faint;
    context.fillText(track.unit, shift, middle, gutter - shift);
    if (track.most) context.fillText(track.most, gutter + room + 22, middle, this.margin - 8);
    context.save();
    context.beginPath();
    context.rect(gutter + 8, top, room, height);
    context.clip();
    context.fillStyle = theme.panel;
    context.fillRect(gutter + 8, top, room, height);
    for (const bars of track.bars ?? []) this.drawBars(context, track, bars);
    for (const [values, colour] of track.areas ?? []) this.drawArea(context, values, theme[colour], track);
    for (const [values, colour] of track.lines ?? []) this.drawLine(context, values, theme[colour], track);
    if (track.rounds) this.drawRounds(context, top, height);
    context.restore();
  }

  // Bars are at least a pixel wide; those that would not show beside the last one are left out.
  drawBars(context, track, bars) {
    const {ratio, theme, font} = this, named = [];
    let painted = -Infinity;
    context.fillStyle = theme[track.colour];
    for (let i = Math.max(0, upTo(bars.begin, this.from) - 1); i < bars.begin.length; i++) {
      if (bars.begin[i] > this.upto) break;
      const left = Math.max(painted, Math.floor(this.xOf(bars.begin[i]) * ratio));
      const right = Math.max(Math.floor(this.xOf(bars.begin[i]) * ratio) + 1,
        Math.round(this.xOf(bars.end[i]) * ratio));
      if (right <= painted) continue;
      context.fillRect(left / ratio, track.top, (right - left) / ratio, track.height);
      if (right - left > 30 * ratio) named.push([left / ratio, right / ratio, bars.rows[i]]);
      painted = right;
    }
    context.fillStyle = track.colour === "wait" ? "#FFFFFF" : theme.paper;
    context.font = `${font * 0.78}px ${theme.family}`;
    for (const [left, right, row] of named) {
      const from = Math.max(left, this.gutter + 8) + 4, words = track.words(row);
      const wide = context.measureText(words).width;
      if (from + wide + 4 < right) context.fillText(words, from, track.top + track.height / 2 + 0.5);
    }
  }

  // The moments that a curve needs: those in the window, and one on either side.
  momentsInSight() {
    const {trajectory: t} = this;
    return [t.lastMoment(this.from), Math.min(t.moments - 1, t.lastMoment(this.upto) + 1)];
  }

  drawArea(context, values, colour, {top, height}) {
    const {time} = this.trajectory, [first, last] = this.momentsInSight();
    context.fillStyle = colour;
    for (let f = first; f <= last; f++) {
      if (values[f] <= 0) continue;
      const from = Math.floor(this.xOf(time[Math.max(0, f - 1)]) * this.ratio) / this.ratio;
      const upto = Math.ceil(this.xOf(time[f]) * this.ratio) / this.ratio;
      const tall = Math.max(1, values[f] * height);
      context.fillRect(from, top + height - tall, Math.max(1, upto - from), tall);
    }
  }

  drawLine(context, values, colour, {top, height}) {
    if (!values.some((value) => value > 0)) return;
    const {time} = this.trajectory, [first, last] = this.momentsInSight();
    context.strokeStyle = colour;
    context.lineWidth = 1.8;
    context.lineJoin = "round";
    context.beginPath();
    for (let f = first; f <= last; f++) {
      context.lineTo(this.xOf(time[f]), top + height - 1 - values[f] * (height - 2));
    }
    context.stroke();
  }

  drawRounds(context, top, height) {
    const {theme, font, trajectory} = this;
    context.textAlign = "left";
    context.font = `${font * 0.75}px ${theme.family}`;
    let free = -Infinity;
    trajectory.arrays["rounds.time_ns"].forEach((time, round) => {
      const x = this.xOf(time);
      context.fillStyle = theme.ink;
      context.fillRect(x, top, 1.2, height);
      if (x < free) return;
      // The area of what is left to send is dark: the number gets the paper's colour around it.
      context.strokeStyle = theme.paper;
      context.lineWidth = 3;
      context.strokeText(`${round + 1}`, x + 4, top + font * 0.5);
      context.fillText(`${round + 1}`, x + 4, top + font * 0.5);
      free = x + font * 1.6;
    });
  }

  drawTimes(context) {
    const {theme, font, foot} = this;
    const rough = (this.upto - this.from) / Math.max(2, Math.floor(this.room / (font * 8)));
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
    context.font = `${font * 0.82}px ${theme.family}`;
    context.fillStyle = theme.faint;
    context.textBaseline = "top";
    context.textAlign = "center";
    for (let n = Math.ceil(this.from / step); n * step <= this.upto * 1.0000001; n++) {
      const x = this.xOf(n * step);
      context.fillRect(x - 0.5, foot - 5, 1, 4);
      context.fillText(formatTick(n * step, step), x, foot);
    }
  }

  draw(now) {
    const inside = now >= this.from && now <= this.upto;
    this.playhead.style.transform = `translateX(${this.xOf(now) - 0.75}px)`;
    this.playhead.style.visibility = inside ? "visible" : "hidden";
  }

  // Words about the bar under a point; "" if there is none.
  wordsAt(x, y) {
    const track = this.tracks.find(({top, height}) => y >= top && y < top + height);
    if (!track?.bars || x < this.gutter + 8 || x > this.gutter + 8 + this.room) return "";
    const near = 2 / this.room * (this.upto - this.from), ns = this.timeAt(x);
    for (const bars of track.bars) {
      const i = Math.max(bars.at(ns), bars.at(ns - near), upTo(bars.begin, ns + near) - 1);
      if (i >= 0 && bars.end[i] >= ns - near) return this.wordsOf(track, bars, i);
    }
    return "";
  }

  wordsOf(track, bars, i) {
    const {meta, arrays} = this.trajectory, row = bars.rows[i];
    const when = `${formatTime(bars.end[i] - bars.begin[i])} from ${formatTime(bars.begin[i])}`;
    if (track.colour === "wait") {
      const zone = meta.zones[arrays["waits.zone"][row]].name;
      return `CPU ${arrays["waits.cpu"][row]} waited ${when} for ${zone}'s lock`;
    }
    const blocks = arrays["locks.blocks"][row].toLocaleString("en");
    return `${track.words(row)} held ${track.name}'s lock ${when}: ${blocks} blocks`;
  }
}

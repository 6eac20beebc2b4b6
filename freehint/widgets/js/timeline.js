// A few lanes above the scrubber that show the run from its beginning to its end.

class Timeline {
  constructor(canvas, playhead, trajectory) {
    this.canvas = canvas;
    this.playhead = playhead; // an element of its own, so that the lanes are drawn only once
    this.trajectory = trajectory;
    this.context = canvas.getContext("2d", {alpha: false});
    const t = trajectory, all = [...Array(t.moments).keys()];
    const most = (values) => Math.max(1, ...values);
    const users = [...Array(t.users).keys()];
    const inFlight = all.map((f) => users.reduce((sum, user) => sum + t.inFlight(f, user), 0));
    const hinted = all.map((f) => t.total(f, "hinted")), lost = all.map((f) => t.total(f, "lost"));
    const pages = most([...hinted, ...lost]);
    const step = all.map((f) => Math.max(1, t.time[f] - t.time[Math.max(0, f - 1)]));
    this.lanes = [
      {name: "zone lock", unit: "held", most: "100 %", lines: [],
        areas: [[all.map((f) => Math.min(1, t.heldNs[f] / step[f])), "ink"]]},
      {name: "waits", unit: "longest", most: formatTime(+Math.max(...t.waitNs).toPrecision(2), 0), lines: [],
        areas: [[all.map((f) => t.waitNs[f] / most(t.waitNs)), "lost"]]},
      {name: "ring", unit: "in flight", most: t.meta.ring_size.toLocaleString("en"), lines: [],
        areas: [[inFlight.map((n) => n / t.meta.ring_size / t.users), "hinted"]]},
      {name: "hints", unit: "taken, lost", most: formatPages(pages), areas: [],
        lines: [[hinted.map((n) => n / pages), "hinted"], [lost.map((n) => n / pages), "lost"]]},
    ];
    if (t.meta.migrates) {
      const left = all.map((f) => t.migration(f, "phase") ? t.migration(f, "pages_left") : 0);
      const sent = all.map((f) => t.migration(f, "sent_bytes"));
      this.lanes.push({name: "migration", unit: "left, sent", most: formatPages(most(left)),
        areas: [[left.map((n) => n / most(left)), "left"]],
        lines: [[sent.map((n) => n / most(sent)), "ink"]], ticks: true});
    }
  }

  layOut(width, ratio, font, buttons) {
    this.font = font;
    this.gutter = Math.max(Math.round(font * 11), buttons + Math.round(font));
    this.margin = Math.round(font * 4.6); // at the right, for the value of a lane's full height
    this.ratio = ratio;
    this.width = width;
    this.lane = Math.round(font * 1.6);
    this.height = this.lanes.length * (this.lane + 6) + font * 1.6;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.canvas.style.height = `${this.height}px`;
    this.playhead.style.height = `${this.lanes.length * (this.lane + 6) - 6}px`;
  }

  // The x of a moment, over the middle of the scrubber's thumb.
  xOf(moment) {
    const room = this.width - this.gutter - this.margin - 16;
    return this.gutter + 8 + room * moment / Math.max(1, this.trajectory.moments - 1);
  }

  momentAt(x) {
    const room = this.width - this.gutter - this.margin - 16;
    const moment = Math.round((x - this.gutter - 8) / room * (this.trajectory.moments - 1));
    return Math.max(0, Math.min(this.trajectory.moments - 1, moment));
  }

  colour(theme) {
    this.theme = theme;
    const {context} = this;
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.fillStyle = theme.paper;
    context.fillRect(0, 0, this.width, this.height);
    this.lanes.forEach((lane, i) => this.drawLane(context, lane, i * (this.lane + 6)));
    this.drawTimes(context);
  }

  drawLane(context, lane, top) {
    const {theme, font} = this, foot = top + this.lane;
    context.textBaseline = "middle";
    context.textAlign = "left";
    context.font = `600 ${font * 0.92}px ${theme.family}`;
    context.fillStyle = theme.ink;
    context.fillText(lane.name, 0, top + this.lane / 2);
    const shift = context.measureText(lane.name).width + font * 0.5;
    context.font = `${font * 0.85}px ${theme.family}`;
    context.fillStyle = theme.faint;
    context.fillText(lane.unit, shift, top + this.lane / 2);
    context.fillStyle = theme.panel;
    context.fillRect(this.xOf(0), top, this.xOf(this.trajectory.moments - 1) - this.xOf(0), this.lane);
    for (const [values, colour] of lane.areas) this.drawArea(context, values, theme[colour], top, foot);
    for (const [values, colour] of lane.lines) this.drawLine(context, values, theme[colour], top, foot);
    if (lane.ticks) this.drawRounds(context, top);
    context.font = `${font * 0.78}px ${theme.family}`;
    context.fillStyle = theme.faint;
    context.textAlign = "left";
    context.textBaseline = "middle";
    context.fillText(lane.most, this.xOf(this.trajectory.moments - 1) + 8, top + this.lane / 2);
  }

  drawArea(context, values, colour, top, foot) {
    context.fillStyle = colour;
    values.forEach((value, moment) => {
      if (value <= 0) return;
      const from = Math.floor(this.xOf(Math.max(0, moment - 1)) * this.ratio) / this.ratio;
      const upto = Math.ceil(this.xOf(moment) * this.ratio) / this.ratio;
      const height = Math.max(1, value * (foot - top));
      context.fillRect(from, foot - height, Math.max(1, upto - from), height);
    });
  }

  drawLine(context, values, colour, top, foot) {
    if (!values.some((value) => value > 0)) return;
    context.strokeStyle = colour;
    context.lineWidth = 1.8;
    context.lineJoin = "round";
    context.beginPath();
    values.forEach((value, moment) => {
      const y = foot - 1 - value * (foot - top - 2);
      if (moment) context.lineTo(this.xOf(moment), y); else context.moveTo(this.xOf(0), y);
    });
    context.stroke();
  }

  drawRounds(context, top) {
    const {theme, font, trajectory} = this;
    context.textAlign = "left";
    context.font = `${font * 0.75}px ${theme.family}`;
    let free = -1;
    trajectory.arrays["rounds.time_ns"].forEach((time, round) => {
      const x = this.xOf(trajectory.momentAt(time));
      context.fillStyle = theme.ink;
      context.fillRect(x, top, 1.2, this.lane);
      if (x < free) return;
      context.fillText(`${round + 1}`, x + 3, top + font * 0.5);
      free = x + font * 1.6;
    });
  }

  drawTimes(context) {
    const {theme, font, trajectory} = this, end = trajectory.time[trajectory.moments - 1];
    const rough = end / Math.max(2, Math.floor(this.width / 130));
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
    context.font = `${font * 0.82}px ${theme.family}`;
    context.fillStyle = theme.faint;
    context.textBaseline = "top";
    context.textAlign = "center";
    for (let time = 0; time <= end * 1.0001; time += step) {
      const x = this.xOf(trajectory.momentAt(time)), foot = this.lanes.length * (this.lane + 6);
      context.fillRect(x - 0.5, foot - 6, 1, 4);
      context.fillText(time ? formatTime(time, 0) : "0", x, foot);
    }
  }

  draw(moment) {
    this.playhead.style.transform = `translateX(${this.xOf(moment) - 0.75}px)`;
  }
}

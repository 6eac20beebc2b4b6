// The instant that is shown, the part of the run on the time axis, and playing.

// It is the part of Player that deals with time; ``model`` keeps all three.
class Instant {
  get moment() {
    return Math.max(0, Math.min(this.trajectory.moments - 1, this.model.get("moment")));
  }

  // The instant that is shown, in ns; its moment is the last one that is not later.
  get now() {
    return Math.max(0, Math.min(this.timeline.end, this.model.get("time_ns")));
  }

  // The part of the run on the time axis, in ns.
  get window() {
    const [from, upto] = this.model.get("window_ns");
    return upto > from ? [from, upto] : [0, this.timeline.end];
  }

  // The moment was set from outside, or the time was: the other one follows.

  followMoment() {
    if (this.going || this.model.get("payload") !== this.payload) return; // Another run comes with it.
    if (!this.trajectory.isAt(this.moment, this.now)) this.set(this.moment, this.trajectory.time[this.moment]);
    if (this.moment !== this.shownMoment) this.show({moves: true});
  }

  followTime() {
    if (this.going) return;
    const moment = this.trajectory.isAt(this.moment, this.now) ? this.moment : this.trajectory.lastMoment(this.now);
    this.going = true; // The time itself stays: another player's run may be longer.
    this.model.set("moment", moment);
    this.going = false;
    this.show({moves: true});
  }

  step(by) {
    if (this.model.get("playing")) this.play(false);
    this.goTo(this.moment + by, {moves: Math.abs(by) === 1});
  }

  goTo(moment, how) {
    const inside = Math.max(0, Math.min(this.trajectory.moments - 1, moment));
    this.set(inside, this.trajectory.time[inside]);
    this.arrive(how);
  }

  goToTime(ns, how) {
    this.set(this.trajectory.lastMoment(ns), ns);
    this.arrive(how);
  }

  toEvent(step) {
    if (this.model.get("playing")) this.play(false);
    const event = this.trajectory.nextEvent(this.now, step, this.page.kind.value);
    if (event) this.goToTime(event.time, {moves: true});
  }

  set(moment, ns) {
    this.going = true; // so that the model's change events do not show it again
    this.model.set("moment", moment);
    this.model.set("time_ns", ns);
    this.going = false;
  }

  arrive(how) {
    const {from, upto} = this.timeline, long = upto - from;
    if (this.now < from || this.now > upto) this.setWindow([this.now - 0.1 * long, this.now + 0.9 * long]);
    this.show(how);
    this.saveSoon();
  }

  // Save a little later, because saving each moment played would send a message for each.
  saveSoon() {
    this.saving ??= setTimeout(() => {
      this.saving = null;
      this.model.save_changes();
    }, 200);
  }

  // The time axis.

  setWindow(ends) {
    if (ends.length) {
      this.timeline.setWindow(...ends);
      const {from, upto, end} = this.timeline;
      ends = from > 0 || upto < end ? [from, upto] : [];
    }
    this.model.set("window_ns", ends);
    this.showWindow();
    this.saveSoon();
  }

  showWindow() {
    this.timeline.setWindow(...this.window);
    if (!this.timeline.theme) return;
    this.timeline.colour(this.timeline.theme);
    this.timeline.draw(this.now);
    const {from, upto, end} = this.timeline, {style} = this.page.scrubber;
    style.setProperty("--from", `${100 * from / end}%`);
    style.setProperty("--upto", `${100 * upto / end}%`);
  }

  // Zoom around a time, by default around the instant shown.
  zoomTime(factor, around) {
    const {from, upto} = this.timeline, inside = this.now >= from && this.now <= upto;
    const fixed = around ?? (inside ? this.now : (from + upto) / 2);
    const long = Math.max(LEAST_WINDOW_NS, (upto - from) * factor), share = (fixed - from) / (upto - from);
    this.setWindow([fixed - share * long, fixed + (1 - share) * long]);
  }

  panTime(share) {
    const {from, upto} = this.timeline, by = share * (upto - from);
    this.setWindow([from + by, upto + by]);
  }

  playOrPause() {
    this.play(!this.model.get("playing"));
  }

  chooseSpeed(speed) {
    this.model.set("speed", speed);
    this.model.save_changes();
  }

  play(playing) {
    if (playing && this.moment === this.trajectory.moments - 1) this.goTo(0, {moves: false});
    if (playing) this.lists.following = true;
    this.model.set("playing", playing);
    this.model.save_changes();
    this.followPlaying();
  }

  followPlaying() {
    const playing = this.model.get("playing");
    write(this.page.playButton, playing ? "❚❚" : "▶");
    this.page.playButton.setAttribute("aria-label", playing ? "pause" : "play");
    this.page.playButton.title = playing ? "pause" : "play";
    if (playing && !this.ticking) {
      this.due = performance.now();
      this.ticking = requestAnimationFrame((now) => this.tick(now));
    }
    this.announce();
  }

  tick(now) {
    this.ticking = null;
    if (!this.model.get("playing") || !this.root.isConnected) return;
    const speed = this.model.get("speed");
    const moments = Math.floor((now - this.due) * speed / 1000);
    if (moments > 0) {
      this.due += moments * 1000 / speed;
      if (now - this.due > 500) this.due = now; // The page was out of sight.
      const next = Math.min(this.trajectory.moments - 1, this.moment + moments);
      this.goTo(next, {moves: moments === 1, within: 850 / speed});
      if (next === this.trajectory.moments - 1) { this.play(false); return; }
    }
    this.ticking = requestAnimationFrame((time) => this.tick(time));
  }

  showSpeed() {
    this.page.speed.value = this.model.get("speed");
  }
}

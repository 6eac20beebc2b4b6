// Keep a user's turn of a knob while the kernel still answers an earlier one.
//
// A new policy makes the kernel set other knobs, which takes a moment.  If the user turns one of
// them meanwhile, the kernel reads that turn only after it has set the knob, and then repeats it
// (the echo).  So a value that arrives for a knob before the echo is older than the user's turn,
// and is ignored.

function keepsTurns(knob) {
  const awaited = knob._expectedEchoMsgIds; // attribute -> id of the message to be echoed
  const accept = knob.set_state;
  if (!awaited || Object.hasOwn(knob, "set_state")) return;
  knob.set_state = function (state) {
    const newer = Object.entries(state).filter(([name]) => !awaited.has(name));
    return accept.call(this, Object.fromEntries(newer));
  };
}

// A restarted kernel knows nothing of the knobs that are still on the page.

function tellsWhenDead(knob) {
  knob.on("comm_live_update", async () => {
    if (knob.comm_live) return;
    for (const shown of Object.values(knob.views ?? {})) {
      const panel = (await shown).el.closest(".fh-panel");
      if (!panel || panel.classList.contains("fh-dead")) continue;
      panel.classList.add("fh-dead");
      const said = document.createElement("div");
      said.className = "fh-dead-said";
      said.setAttribute("role", "alert");
      said.textContent = "The kernel was restarted: run the cell again.";
      panel.prepend(said);
    }
  });
}

function initialize({model}) {
  const references = model.get("knobs");
  for (const reference of references) {
    model.widget_manager.get_model(reference.replace("IPY_MODEL_", "")).then((knob) => {
      keepsTurns(knob);
      if (reference === references[0]) tellsWhenDead(knob);
    });
  }
}

export default {initialize};

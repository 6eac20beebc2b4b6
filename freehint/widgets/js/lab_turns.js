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

function initialize({model}) {
  for (const reference of model.get("knobs")) {
    model.widget_manager.get_model(reference.replace("IPY_MODEL_", "")).then(keepsTurns);
  }
}

export default {initialize};

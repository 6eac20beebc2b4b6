// A knob keeps what was turned after the question that the kernel is answering.
//
// A new policy sets other knobs, and its answer takes a moment.  If one of them is turned
// meanwhile, the kernel hears of that turn after its answer, and repeats it (the echo): what
// comes for a knob before its own echo is older than the hand, so it is left out.

function keepsTurns(knob) {
  const awaited = knob._expectedEchoMsgIds; // attribute -> the message whose echo will come
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

// In a page without a kernel it takes the place of a widget's model, and keeps the state.

function standIn(state) {
  const listeners = {};
  return {
    get: (name) => state[name],
    set: (name, value) => {
      if (state[name] === value || (Array.isArray(value) && String(state[name]) === String(value))) return;
      state[name] = value;
      for (const act of [...listeners[`change:${name}`] ?? []]) act();
    },
    save_changes: () => {},
    on: (name, act) => (listeners[name] ??= []).push(act),
    off: (name, act) => { listeners[name] = (listeners[name] ?? []).filter((a) => a !== act); },
  };
}

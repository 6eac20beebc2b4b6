"""What every panel with knobs shares: the knobs, their explanations, history, share, seeds."""

"""The player: a run played and scrubbed in a notebook or from one HTML file."""

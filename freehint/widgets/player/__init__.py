"""The player shows a run moment by moment, in a notebook or from one HTML file."""

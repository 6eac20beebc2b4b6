"""Reports whose knobs turn without a kernel: every combination's run is in the file."""

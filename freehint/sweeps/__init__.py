"""Many runs: grids and designs, who does the work, and what is left after a kill."""

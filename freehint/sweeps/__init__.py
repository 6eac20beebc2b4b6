"""Many runs: grids and designs, the workers that run them, and how a killed sweep continues."""

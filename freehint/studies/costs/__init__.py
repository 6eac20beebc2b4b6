"""What operations cost on this machine, and which conclusions hang on costs that are assumed."""

"""Mutated inputs for every loader, and the judge of what comes back; ``make fuzz`` runs them."""

"""One run: its scenario, its simulation, its tables, and the provenance of its numbers."""

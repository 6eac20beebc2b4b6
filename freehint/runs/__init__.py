"""One run: its scenario, its simulation, its tables and where its numbers come from."""

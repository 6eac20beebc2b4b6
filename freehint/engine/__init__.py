"""The engine: simulated time passes for guest, host, migration and the policies' strokes."""

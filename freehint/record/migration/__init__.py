"""The live migration of a recorded guest, and what is written of it."""

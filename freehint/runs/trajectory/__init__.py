"""Recording one run step by step, for the player."""

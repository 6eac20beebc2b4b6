"""One run recorded step by step, for the player."""

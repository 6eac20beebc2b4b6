"""How a policy's verbs come to the explorer, a user's own too."""

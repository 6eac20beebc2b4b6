"""The border: what comes from outside is read, checked, and refused in one sentence."""

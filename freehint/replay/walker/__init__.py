"""A recorded kernel's walker: its knobs, its ring, and the policies that play its walks."""

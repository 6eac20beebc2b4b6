"""The current world, in which a longer table replaces one that is full."""

from freehint.engine.world.records import columns
from freehint.engine.world.world import World
from freehint.jit.pinned import pinned


class Current:
    """One world for all parts of an engine.

    ``world`` is the state of the simulation, and ``pinned`` the same for kernels.  The memory and
    the records are never replaced, so ``pinned_memory``, ``of_users`` and ``state`` stay valid.
    """

    def __init__(self, world: World):
        self.world, self.pinned = world, pinned(world)
        self.pinned_memory = pinned(world.memory)
        self.of_users, self.state = columns(world.user), columns(world.state)

    def replace(self, **parts) -> None:
        """Replace fields of the world with other arrays."""
        self.world = self.world._replace(**parts)
        self.pinned = pinned(self.world)

"""The world that is current: a table that is full is replaced by a longer one."""

from freehint.engine.world.records import columns
from freehint.engine.world.world import World
from freehint.jit.pinned import pinned


class Current:
    """One world for all parts of an engine.

    ``world`` is everything that moves, and ``pinned`` the same for kernels.  The memory and the
    records are never replaced: ``pinned_memory``, ``of_users`` and ``state`` stay what they are.
    """

    def __init__(self, world: World):
        self.world, self.pinned = world, pinned(world)
        self.pinned_memory = pinned(world.memory)
        self.of_users, self.state = columns(world.user), columns(world.state)

    def replace(self, **parts) -> None:
        """Put other arrays in the place of fields of the world."""
        self.world = self.world._replace(**parts)
        self.pinned = pinned(self.world)

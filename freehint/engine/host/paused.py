"""Actors that sleep while the guest stands still, as vm_stop() lets them."""

from freehint.engine.world.clock import ACTOR_BITS, NEVER, suspend


class Paused:
    """The actors of a guest that stands still, and when each was to act next."""

    def __init__(self):
        self.keys, self.since_ns = {}, -1

    def __bool__(self) -> bool:
        return bool(self.keys)

    def pause(self, world, actors, now_ns: int) -> None:
        """Let actors sleep."""
        self.since_ns = now_ns
        for actor in actors:
            self.keys[actor] = int(world.key[actor])
            suspend(world, actor)

    def due_ns(self, actor: int) -> int:
        """The time at which an actor was to act, NEVER's if it slept."""
        return self.keys[actor] >> ACTOR_BITS

    def go_on(self, world, now_ns: int) -> None:
        """Let them act again, each as much later as the pause was long."""
        late = now_ns - self.since_ns
        for actor, key in self.keys.items():
            world.key[actor] = key if key == NEVER else key + (late << ACTOR_BITS)
            if key != NEVER and actor < len(world.cpu):  # a recorded guest is so much later
                world.cpu[actor].due_ns += late
                world.cpu[actor].slip_ns += late
        self.keys = {}

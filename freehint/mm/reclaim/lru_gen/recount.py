"""What check_memory asks about the lists of generations."""

from freehint.jit import kernel
from freehint.mm.memory import page_zone
from freehint.mm.reclaim.lru_gen.generations import (
    folio_lru_gen,
    is_file,
    lru_gen_is_active,
    nr_gens,
)
from freehint.mm.reclaim.state import (
    GENERATION_HEADS,
    MAX_NR_GENS,
    MIN_NR_GENS,
    NR_GEN_ZONES,
    PG_ACTIVE,
)

KINDS = ("anonymous", "file")


def generation_list_name(lru: int) -> str:
    """Name of a generation's list; zones by their position, as the list does not know them."""
    gen, rest = divmod(lru - GENERATION_HEADS, 2 * NR_GEN_ZONES)
    return f"generation {gen} {KINDS[rest // NR_GEN_ZONES]} zone {rest % NR_GEN_ZONES}"


@kernel(cold=True)
def stands_wrong(memory, reclaim, node, lru):
    """Is a page of another kind or zone, or of no generation that exists, or PG_ACTIVE?

    The list's generation is not asked for: a promoted page stays on its list.  Without swap,
    anonymous pages may be older than the oldest generation.
    """
    kind, gen = is_file(reclaim, node), folio_lru_gen(reclaim, node)
    if (lru - GENERATION_HEADS) % (2 * NR_GEN_ZONES) != NR_GEN_ZONES * kind + page_zone(
        memory, node
    ):
        return True
    if gen < 0 or gen >= MAX_NR_GENS or reclaim.page[node] & PG_ACTIVE:
        return True
    age = (gen - reclaim.min_seq[kind]) % MAX_NR_GENS
    return kind == 1 and age >= nr_gens(reclaim, kind)


@kernel(inline=True)
def column_of(reclaim, node):
    """The list in whose name the page counts in zone_lru."""
    active = lru_gen_is_active(reclaim, folio_lru_gen(reclaim, node))
    return 2 * is_file(reclaim, node) + (1 if active else 0)


@kernel(cold=True)
def wrong_number_of_generations(reclaim):
    """The first kind of page that has not 2 to 4 generations, or -1."""
    for kind in range(2):
        if not MIN_NR_GENS <= nr_gens(reclaim, kind) <= MAX_NR_GENS:
            return kind
    return -1


@kernel(cold=True)
def wrong_generation_count(memory, reclaim, counted):
    """The first generation, kind and zone whose pages are not as many as counted, as one number."""
    for gen in range(MAX_NR_GENS):
        for kind in range(2):
            for zone in range(memory.zones.shape[0]):
                if counted[gen, kind, zone] != reclaim.gen_pages[gen, kind, zone]:
                    return (2 * gen + kind) * NR_GEN_ZONES + zone
    return -1

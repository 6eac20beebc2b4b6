"""The thread's own example: eight 2 MiB blocks, A to H, reported two at a time.

"After reporting A and B, and put them to the end and exit, when the caller comes back .." -- and
what if A, and only A, has been consumed meanwhile?  Here the real walker goes over a real free
list, one stroke after another.

Source: Wang and Tsirkin on linux-mm, 26 January 2018, below v24 2/2.
"""

from dataclasses import dataclass

from freehint.config import InputError, one_of, whole
from freehint.mm.buddy import add_to_free_list, add_to_free_list_tail, del_page_from_free_list
from freehint.mm.list import list_next
from freehint.mm.memory import (
    HINTED,
    MOVABLE,
    PAGEBLOCK_ORDER,
    USER_BOOKMARK,
    Memory,
    free_list_head,
    list_nodes,
    new_memory,
    new_zones,
    user_node,
)
from freehint.mm.profile import LINUX_6_1
from freehint.policies.drive import Drive
from freehint.policies.policy import Outcome, Stroke
from freehint.policies.walker import Walker

LETTERS = "ABCDEFGH"
CONSUMED = ("nothing", "A", "A and C", "A and B", "everything")
# Every walk over eight blocks that ends at all ends within so many strokes.
MOST_STROKES = 12


@dataclass(frozen=True)
class Step:
    """The list at one moment, and what has just happened.

    Attributes
    ----------
    what : str
        What has just happened.
    chain : tuple of str
        Letters from head to tail; "|" is the bookmark.
    reported : tuple of str
        Blocks that this stroke reported.
    known : tuple of str
        Blocks on the list that the host knows from a report.
    duplicates : tuple of str
        Blocks of this stroke that the host already knew.
    """

    what: str
    chain: tuple
    reported: tuple = ()
    known: tuple = ()
    duplicates: tuple = ()


@dataclass(frozen=True)
class Story:
    """All steps of a walk, and whether it finished."""

    steps: tuple
    finished: bool

    @property
    def walked(self) -> int:
        """The number of blocks that all strokes reported, each as often as it was."""
        return sum(len(step.reported) for step in self.steps)

    @property
    def duplicates(self) -> int:
        """The number of blocks reported again while their first report was still valid."""
        return sum(len(step.duplicates) for step in self.steps)

    @property
    def unreported(self) -> tuple:
        """Blocks that are on the list at the end without having been reported."""
        last = self.steps[-1]
        return tuple(x for x in last.chain if x in LETTERS and x not in last.known)

    @property
    def sentence(self) -> str:
        """The end of the story in words."""
        end = "The walk ends by itself" if self.finished else "The walk never ends"
        twice = f"{self.duplicates} reported twice" if self.duplicates else "none reported twice"
        missed = ", ".join(self.unreported)
        return f"{end}: {twice}, {'missed ' + missed if missed else 'none missed'}."


def eight_blocks() -> Memory:
    """A zone whose only free memory is A..H: eight blocks of order 9 on one list, in order."""
    zones = new_zones(
        index=[1],
        start_pfn=[4096],
        spanned=[8 * 1024],
        present=[8 * 1024],
        managed=[8 * 1024],
        watermark=[[1, 2, 3]],
    )
    memory = new_memory(zones, 1, LINUX_6_1)
    memory.pageblock[:] = MOVABLE
    for i in range(len(LETTERS)):
        # The other half of each order-10 block is allocated, so nothing merges.
        add_to_free_list_tail(memory, i * 1024, 0, PAGEBLOCK_ORDER, MOVABLE)
        memory.zones[0].nr_free_pages += 1 << PAGEBLOCK_ORDER
    return memory


def letter(node: int) -> str:
    """The name of the block at a node."""
    return LETTERS[node // 1024]


class _Teller:
    """Drives the walker over the eight blocks and notes the list after each step."""

    def __init__(self, policy: Walker):
        self.policy, self.memory = policy, eight_blocks()
        self.drive = Drive(policy, self.memory, self.outcomes)
        self.head = free_list_head(self.memory, 0, PAGEBLOCK_ORDER, MOVABLE)
        self.steps = [Step("before", self.chain())]
        self.twice = ()

    def outcomes(self, rows) -> list:
        """Let the ring take every row, and note the blocks that the host already knew."""
        hinted = [node for node, _ in rows if self.memory.frame[node] & HINTED]
        self.twice = tuple(map(letter, hinted))
        return [Outcome.TAKEN] * len(rows)

    def chain(self) -> tuple:
        bookmark = user_node(self.memory, self.policy.user, USER_BOOKMARK)
        names, node = [], list_next(self.memory.links, self.head)
        while node != self.head:
            if node < self.memory.nr_pages:
                names.append(letter(node))
            elif node == bookmark:
                names.append("|")
            node = list_next(self.memory.links, node)
        return tuple(names)

    def known(self) -> tuple:
        nodes = list_nodes(self.memory, self.head)
        return tuple(letter(n) for n in nodes if self.memory.frame[n] & HINTED)

    def stroke(self, number: int) -> Stroke:
        stroke = self.drive.stroke()
        if stroke.rows:
            names = tuple(letter(node) for node, _ in stroke.rows)
            what = f"stroke {number} reports {' '.join(names)}"
            self.steps.append(Step(what, self.chain(), names, self.known(), self.twice))
        return stroke.status

    def consume(self, names: str) -> None:
        wanted = LETTERS if names == "everything" else names.replace(" and ", "")
        for node in list_nodes(self.memory, self.head):
            if letter(node) in wanted:
                del_page_from_free_list(self.memory, int(node), 0, PAGEBLOCK_ORDER)
                self.memory.zones[0].nr_free_pages -= 1 << PAGEBLOCK_ORDER
        what = "everything is consumed" if names == "everything" else f"{names} consumed"
        self.steps.append(Step(what, self.chain(), known=self.known()))

    def meets_a(self) -> bool:
        return self.chain()[:1] == ("A",)

    def free(self, name: str) -> None:
        """Free a block, which puts it at the head of the list."""
        node = LETTERS.index(name) * 1024
        add_to_free_list(self.memory, node, 0, PAGEBLOCK_ORDER, MOVABLE)
        self.memory.zones[0].nr_free_pages += 1 << PAGEBLOCK_ORDER
        self.steps.append(Step(f"{name} freed again", self.chain(), known=self.known()))


def thread_story(
    rotate="on_exit", resume="scan_for_first", consumed="nothing", capacity=2
) -> Story:
    """Tell the thread's example under one setting of the knobs.

    Parameters
    ----------
    rotate, resume : str
        The walker's knobs (:class:`freehint.Walker`).
    consumed : str
        The blocks that the guest takes between the first two strokes: one of ``thread.CONSUMED``.
    capacity : int
        Blocks per stroke, 1..8; the thread's example has 2.

    Returns
    -------
    Story

    Raises
    ------
    InputError
        A value is unknown, or rotate and resume contradict each other.

    Examples
    --------
    >>> from freehint.studies.thread import thread_story
    >>> thread_story("on_exit", "scan_for_first").steps[1].chain
    ('C', 'D', 'E', 'F', 'G', 'H', 'A', 'B')
    """
    whole("capacity", capacity, 1, len(LETTERS))
    policy = Walker("example", rotate=rotate, resume=resume, capacity=capacity, on_full="lose")
    return _tell(policy, consumed, MOST_STROKES)


def story_as_posted(consumed="nothing", comes_back=False, most_strokes=MOST_STROKES) -> Story:
    """Tell the thread's example with the scan as the mail has it, "until we see A".

    Nothing else ends it.  The lap that ends the walker's ``scan_for_first`` when A is gone is
    freehint's own, and no mail mentions it.  Each stroke reports two blocks and rotates them.

    Parameters
    ----------
    consumed : str
        The blocks that the guest takes between the first two strokes: one of ``thread.CONSUMED``.
    comes_back : bool
        Whether the guest then frees A, which puts it at the head of the list.
    most_strokes : int
        The stroke after which a walk that does not end is given up, 1..1000.

    Returns
    -------
    Story
        It is not finished if the walk was given up.

    Raises
    ------
    InputError
        A value is unknown or out of range, or A is to come back though it was not consumed.

    Examples
    --------
    >>> from freehint.studies.thread import story_as_posted
    >>> story_as_posted("A").finished, story_as_posted("A", most_strokes=500).walked
    (False, 1000)
    """
    whole("most_strokes", most_strokes, 1, 1000)
    one_of("comes_back", comes_back, (False, True))
    policy = Walker("as posted", rotate="on_exit", resume="restart", capacity=2, on_full="lose")
    return _tell(policy, consumed, most_strokes, comes_back, until_a=True)


def _tell(policy, consumed, most_strokes, comes_back=False, until_a=False) -> Story:
    one_of("consumed", consumed, CONSUMED)
    if comes_back and consumed == "nothing":
        raise InputError("comes_back: A cannot come back, as nothing is consumed")
    teller = _Teller(policy)
    going = teller.stroke(1) == Stroke.MORE
    if consumed != "nothing":
        teller.consume(consumed)
    if comes_back:
        teller.free("A")
    for number in range(2, most_strokes + 1):
        if not going or (until_a and teller.meets_a()):
            break
        going = teller.stroke(number) == Stroke.MORE
    return Story(tuple(teller.steps), finished=not going or (until_a and teller.meets_a()))

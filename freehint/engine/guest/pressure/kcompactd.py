"""kcompactd of a guest under pressure."""

from freehint.jit import kernel


@kernel
def kcompactd_is_due(world, now_ns):
    """Has kcompactd something to do?"""
    return False


@kernel
def kcompactd_step(world, now_ns):
    """Do one round; return True while there is more to do."""
    return False

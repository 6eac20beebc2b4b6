"""Python's collector of cycles, kept from looking through what is made to stay."""

import contextlib
import gc


@contextlib.contextmanager
def made_to_stay():
    """Look for no cycles meanwhile, and count what there is afterwards as old.

    Modules and compiled kernels are millions of objects.  Without the second the next collection
    looks through all that are new: a twentieth of a first result, cold or warm.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            if not gc.get_freeze_count():  # else what somebody has frozen would be thawed
                gc.freeze()
                gc.unfreeze()
            gc.enable()

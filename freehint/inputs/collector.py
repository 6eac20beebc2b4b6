"""Python's collector of cycles, which looks in vain through what importing and compiling leave."""

import gc


class Kept:
    """Look for no cycles meanwhile; what is left afterwards counts as old.

    Modules and compiled kernels stay until the process ends.  Else the next collections look
    through them all: a tenth of a warm first result, a twentieth of a cold one.
    """

    def __enter__(self):
        self.collected = gc.isenabled()
        gc.disable()

    def __exit__(self, *_error):
        if self.collected:
            if not gc.get_freeze_count():  # else what somebody has frozen would be thawed
                gc.freeze()
                gc.unfreeze()
            gc.enable()  # last: a generator's end would begin a collection

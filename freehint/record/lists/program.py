"""A kernel as a drgn program: a dump or the running one, with its debug symbols."""

import contextlib
import logging
from pathlib import Path

from freehint.config import InputError, extra
from freehint.inputs.reading import exists

EXTRA = "record"


def require_drgn():
    """The module drgn.

    Raises
    ------
    InputError
        It is not installed; the message names the extra that brings it.
    """
    return extra("drgn", "freehint record", EXTRA)


def open_program(vmcore: Path | None, vmlinux: Path | None):
    """A drgn program on a dump, or on the running kernel if ``vmcore`` is None.

    Raises
    ------
    InputError
        drgn is missing, a file cannot be used, the user may not read /proc/kcore, or the kernel's
        debug symbols are missing.
    """
    drgn = require_drgn()
    logging.getLogger("drgn").setLevel(logging.ERROR)  # what matters is raised
    for path in filter(None, (vmcore, vmlinux)):
        if not exists(path):
            raise InputError(f"{path}: there is no such file")
    program = drgn.Program()
    try:
        if vmcore:
            program.set_core_dump(vmcore)
        else:
            program.set_kernel()
    except PermissionError:
        raise InputError("--live: /proc/kcore can be read by root only") from None
    except FileNotFoundError:
        raise InputError("--live: this kernel has no /proc/kcore (CONFIG_PROC_KCORE)") from None
    except (ValueError, OSError, drgn.FaultError) as error:
        raise InputError(f"{vmcore or '/proc/kcore'}: drgn cannot read it: {error}") from None
    if not program.flags & drgn.ProgramFlags.IS_LINUX_KERNEL:
        raise InputError(
            f"{vmcore}: this is no dump of a Linux kernel with a VMCOREINFO note (QEMU needs"
            " -device vmcoreinfo, and the guest the module qemu_fw_cfg)"
        )
    try:
        if vmlinux:
            program.load_debug_info([vmlinux], default=False, main=False)
        else:
            program.load_debug_info(main=True)
        program.type("struct zone")
    except (LookupError, ValueError, OSError, drgn.MissingDebugInfoError) as error:
        release = program["UTS_RELEASE"].string_().decode()
        raise InputError(
            f"{vmlinux or 'kernel ' + release}: no debug symbols of kernel {release}, which"
            f" --vmlinux must name (Debian: the package linux-image-{release}-dbg):"
            f" {str(error).splitlines()[0]}"
        ) from None
    return program


@contextlib.contextmanager
def reading_kernel(what: str):
    """Make one sentence of what drgn says while lists are read.

    Parameters
    ----------
    what : str
        The dump or "--live"; the message begins with it.

    Raises
    ------
    InputError
        An address cannot be read, or the kernel lacks a field that is read.
    """
    drgn = require_drgn()
    try:
        yield
    except (drgn.FaultError, LookupError, AttributeError) as error:
        raise InputError(f"{what}: is torn, cut off or of an unknown layout: {error}") from None

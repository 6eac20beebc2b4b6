"""The machine that QEMU makes for a guest: its kernel's command line, its drives, its balloon."""

from pathlib import Path
from typing import NamedTuple

from freehint.record.kernels import Kernel

# Lists that huge pages do not empty; pages that nobody reads are not written.
MEMORY_LINE = "transparent_hugepage=never init_on_alloc=0"
# A starved host fails the check of the 8254.
COMMAND_LINE = "console=ttyS0 nokaslr panic=-1 loglevel=4 no_timer_check"


class Machine(NamedTuple):
    """A machine without a guest.

    kernel : Kernel
    initramfs : Path
    memory : int               bytes
    cpus : int
    reporting, hinting : bool  whether its balloon has free-page-reporting and free-page-hint
    events : tuple of str      QEMU's own trace events that :meth:`Guest.logged` returns
    drives : tuple of Path     images of virtio drives, /dev/vda first
    append : str               words for the kernel's command line, each of which replaces the word
                               of the same name in MEMORY_LINE
    """

    kernel: Kernel
    initramfs: Path
    memory: int
    cpus: int
    reporting: bool = False
    hinting: bool = False
    events: tuple = ()
    drives: tuple = ()
    append: str = ""

    def command_line(self) -> str:
        """The kernel's command line."""
        words = {word.partition("=")[0]: word for word in MEMORY_LINE.split()}
        words |= {word.partition("=")[0]: word for word in self.append.split()}
        return " ".join((COMMAND_LINE, *words.values()))

    def arguments(self) -> list[str]:
        """QEMU's arguments, but for the accelerator and for all that a guest sends."""
        balloon = "virtio-balloon-pci" + (",free-page-reporting=on" if self.reporting else "")
        balloon += ",free-page-hint=on,iothread=hints" if self.hinting else ""
        words = [
            *("qemu-system-x86_64", "-M", "pc", "-m", f"{self.memory >> 20}M"),
            *("-smp", str(self.cpus)),
            *("-display", "none", "-nodefaults", "-no-reboot", "-vga", "none"),
            *("-kernel", str(self.kernel.image), "-initrd", str(self.initramfs)),
            *("-append", self.command_line()),
            *("-device", "vmcoreinfo", "-device", balloon, "-device", "virtio-serial-pci"),
            *("-device", "virtserialport,nr=1,chardev=ctl,name=ctl"),
        ]
        for drive in self.drives:
            words += ["-drive", f"file={escaped(drive)},if=virtio,format=raw,cache=unsafe"]
        if self.hinting:
            words += ["-object", "iothread,id=hints"]
        for event in self.events:
            words += ["-trace", f"enable={event}"]
        return words


def escaped(path: Path) -> str:
    """A path inside of an option of QEMU, where a comma separates."""
    return str(path).replace(",", ",,")

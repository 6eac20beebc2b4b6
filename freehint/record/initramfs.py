"""The initramfs of a recorded guest: busybox, virtio's modules, our scripts and loads."""

import gzip
import lzma
import shutil
import subprocess
import tempfile
from pathlib import Path

from freehint.config import InputError
from freehint.record.kernels import Kernel
from freehint.record.tools import last_line, run
from freehint.record.workloads import Workload

GUEST = Path(__file__).parent / "guest"
FOLDERS = ("bin", "dev", "mnt", "proc", "sys", "tmp", "lib/modules")
# In the order in which they can be loaded; a kernel may have some of them built in.
MODULES = (
    *("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci"),
    *("virtio_console", "virtio_balloon", "qemu_fw_cfg"),
)
# For a disk with ext4 and for swap.
DRIVE_MODULES = ("crc16", "crc32c_generic", "mbcache", "jbd2", "ext4", "virtio_blk")
# Parts of virtio_pci that are modules of their own from 5.12 or 5.18 on, and one that later
# kernels have no more.
SPLIT_OFF = {"virtio_pci_legacy_dev", "virtio_pci_modern_dev", "crc32c_generic"}


def write_initramfs(
    path: Path,
    kernel: Kernel,
    workloads: dict[str, Workload],
    walker: Path | None,
    drives: bool = False,
) -> None:
    """Write the initramfs of one guest.

    Parameters
    ----------
    path : Path
        To be written: cpio in gzip.
    kernel : Kernel
    workloads : dict of str to Workload
        Those with scripts, by the scripts' names in the guest.
    walker : Path or None
        The walker's module, which is there and not loaded.
    drives : bool
        With the modules that virtio drives and ext4 need.

    Raises
    ------
    InputError
        The kernel lacks a module that the recorder talks through.
    ChildProcessError
        gcc or cpio failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in FOLDERS:
            (root / name).mkdir(parents=True)
        _install_programs(root / "bin", workloads)
        shutil.copy(GUEST / "init.sh", root / "init")
        (root / "init").chmod(0o755)
        names = MODULES + DRIVE_MODULES if drives else MODULES
        order = [_install_module(root / "lib/modules", kernel, name) for name in names]
        (root / "lib/modules/order").write_text("\n".join(filter(None, order)) + "\n")
        if walker:
            shutil.copy(walker, root / "lib/modules/fhwalk.ko")
        _pack(root, path)


def _install_programs(folder: Path, workloads: dict[str, Workload]) -> None:
    busybox = shutil.which("busybox")
    shutil.copy(busybox, folder / "busybox")
    for applet in run(busybox, "--list").split():
        if applet != "busybox":
            (folder / applet).symlink_to("busybox")
    run("gcc", "-O2", "-static", "-s", "-o", str(folder / "load"), str(GUEST / "load.c"))
    shutil.copy(GUEST / "lib.sh", folder / "lib.sh")
    for name, workload in workloads.items():
        if workload.script:
            shutil.copy(workload.script, folder / f"{name}.sh")


def _install_module(folder: Path, kernel: Kernel, name: str) -> str | None:
    """Copy a module, unpacked, and return its file's name; None if there is nothing to load."""
    found = next(kernel.modules.rglob(f"{name}.ko*"), None)
    if found is None:
        builtin = kernel.modules / "modules.builtin"
        built_in = builtin.is_file() and f"/{name}.ko\n" in builtin.read_text()
        if not built_in and name not in SPLIT_OFF:
            raise InputError(f"package {kernel.package} has no module {name}")
        return None
    opened = {".ko": open, ".xz": lzma.open, ".gz": gzip.open}.get(found.suffix)
    if opened is None:
        raise InputError(f"package {kernel.package}: {found.name} is packed in an unknown way")
    with opened(found, "rb") as source, open(folder / f"{name}.ko", "wb") as target:
        shutil.copyfileobj(source, target)
    return f"{name}.ko"


def _pack(root: Path, path: Path) -> None:
    """Write a folder as cpio in gzip."""
    names = "".join(f"{one.relative_to(root)}\n" for one in sorted(root.rglob("*")))
    command = ("cpio", "--quiet", "--create", "--format=newc", "--owner=0:0")
    done = subprocess.run(command, cwd=root, input=names.encode(), capture_output=True)
    if done.returncode:
        raise ChildProcessError(f"cpio failed: {last_line(done.stderr.decode())}")
    path.write_bytes(gzip.compress(done.stdout, 6))

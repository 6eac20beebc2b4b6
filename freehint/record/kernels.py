"""Stock Debian kernels: image, debug symbols and headers, downloaded and unpacked in the cache."""

import re
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

from freehint.config import InputError
from freehint.files import whole_folder
from freehint.jit.cache import cache_bases
from freehint.record.apt import Apt, backports, suite
from freehint.record.probes import PROBES, SUITES, series_of
from freehint.record.tools import require_tools, run

IMAGE = re.compile(r"linux-image-(\d[\w.+~-]*-cloud-amd64)")


class Kernel(NamedTuple):
    """An unpacked kernel.

    package : str            its image's package
    version : str            the package's version
    release : str            as uname -r says
    image : Path             vmlinuz
    modules : Path           the folder lib/modules/RELEASE
    vmlinux : Path           with debug symbols
    symbols : Path           System.map
    headers : Path or None   the root of the unpacked headers, if they were asked for
    """

    package: str
    version: str
    release: str
    image: Path
    modules: Path
    vmlinux: Path
    symbols: Path
    headers: Path | None


class Found(NamedTuple):
    """A kernel's packages before anything is downloaded.

    apt : Apt          that can download them
    package : str      the image's
    version : str
    release : str
    headers : tuple    of the packages of its headers; () if no headers were asked for
    """

    apt: Apt
    package: str
    version: str
    release: str
    headers: tuple


def kernel_cache() -> Path:
    """The folder for kernels: ``kernels`` in the user's cache or in $FREEHINT_CACHE_DIR."""
    return cache_bases()[0] / "kernels"


def find_kernel(text: str, headers: bool) -> Found:
    """The packages of a kernel.

    Parameters
    ----------
    text : str
        A series of PROBES, for its newest kernel, or the name of an image's package.
    headers : bool
        Whether a module will be built; then the compiler is looked for too.

    Raises
    ------
    InputError
        No source of apt has the kernel, its debug symbols or its headers, the kernel's series has
        no probes, or the compiler of its headers is missing.
    """
    require_tools(("apt-get", "apt-cache", "dpkg-deb"), "fetching a kernel")
    apt, package = _source(text)
    release = IMAGE.fullmatch(package)[1]
    series_of(release)
    version = _version_of_all(apt, package, f"{package}-dbg")
    needed = _headers(apt, release, version) if headers else ()
    return Found(apt, package, version, release, needed)


def _source(text: str) -> tuple[Apt, str]:
    """The first source of packages that has a kernel, and the package of its image."""
    apt = Apt()
    if (package := _package(apt, text)) is None:
        series = text if text in PROBES else series_of(IMAGE.fullmatch(text)[1])
        if series in SUITES:
            apt = suite(kernel_cache() / SUITES[series], SUITES[series])
        else:
            apt = backports(kernel_cache() / "backports")
        package = _package(apt, text)
    if package is None:
        wanted = f"linux-image-{text}*-cloud-amd64" if text in PROBES else text
        where = SUITES.get(series, "the backports of this release")
        raise InputError(
            f"--kernel {text}: neither apt's sources nor {where} have a package {wanted} with a"
            " -dbg package"
        )
    return apt, package


def _package(apt: Apt, text: str) -> str | None:
    """The image's package that has debug symbols; the newest one if a series is asked for."""
    if text not in PROBES:
        if not IMAGE.fullmatch(text):
            raise InputError(
                f"--kernel {text}: must be {', '.join(PROBES)} or the name of a package"
                " linux-image-*-cloud-amd64"
            )
        return text if apt.version(text) and apt.version(f"{text}-dbg") else None
    names = set(apt.names(f"linux-image-{text}."))
    images = [name for name in names if IMAGE.fullmatch(name) and f"{name}-dbg" in names]
    for name in sorted(images, key=_numbers, reverse=True):
        if apt.version(name) and apt.version(f"{name}-dbg"):
            return name
    return None


def _numbers(name: str) -> list[int]:
    """The numbers in a package's name, by which kernels of one series are ordered."""
    return [int(number) for number in re.findall(r"\d+", name)]


def _version_of_all(apt: Apt, first: str, *others: str) -> str:
    """The version that packages of one build share."""
    version = apt.version(first)
    for package in others:
        if apt.version(package) != version:
            raise InputError(
                f"package {package} has version {apt.version(package)}, but {first} {version}:"
                " apt-get update, or another --kernel"
            )
    return version


def _headers(apt: Apt, release: str, version: str) -> tuple:
    """The packages of a kernel's headers, after a look for the compiler they are made for."""
    package = f"linux-headers-{release}"
    if apt.version(package) != version:
        raise InputError(f"a module for kernel {release} needs the package {package} {version}")
    depends = apt.depends(package)
    compilers = [match[1] for name in depends if (match := re.search(r"(gcc-\d+)", name))]
    require_tools((*compilers[:1], "make"), f"a module for kernel {release}")
    parts = [name for name in depends if name.startswith(("linux-headers-", "linux-kbuild-"))]
    return (package, *parts)


def fetch_kernel(found: Found) -> Kernel:
    """Download and unpack what the cache does not have yet.

    Raises
    ------
    ChildProcessError
        apt-get or dpkg-deb failed; the message has their last line.
    InputError
        The cache cannot be written, or a package lacks a file.
    """
    folder = kernel_cache() / f"{found.release}_{found.version.replace(':', '%3a')}"
    image = _unpacked(found.apt, folder / "image", found.package)
    debug = _unpacked(found.apt, folder / "debug", f"{found.package}-dbg", "./usr/lib/debug/boot/")
    headers = _unpacked(found.apt, folder / "headers", *found.headers) if found.headers else None
    boot = debug / "usr/lib/debug/boot"
    kernel = Kernel(
        found.package,
        found.version,
        found.release,
        image=image / f"boot/vmlinuz-{found.release}",
        modules=image / f"lib/modules/{found.release}",
        vmlinux=boot / f"vmlinux-{found.release}",
        symbols=boot / f"System.map-{found.release}",
        headers=headers,
    )
    for path in (kernel.image, kernel.modules, kernel.vmlinux, kernel.symbols):
        if not path.exists():
            raise InputError(f"package {found.package} or its -dbg has no file {path.name}")
    return kernel


def _unpacked(apt: Apt, folder: Path, *packages: str) -> Path:
    """The folder with the files of packages, with names below the last argument if it is one."""
    if folder.is_dir():
        return folder
    below = packages[-1] if packages[-1].startswith("./") else None
    names = packages[:-1] if below else packages
    with whole_folder(folder) as temporary, tempfile.TemporaryDirectory(dir=temporary) as debs:
        for deb in apt.download(names, Path(debs)):
            if below:
                _extract(deb, temporary, below)
            else:
                run("dpkg-deb", "--extract", str(deb), str(temporary))
    return folder


def _extract(deb: Path, folder: Path, below: str) -> None:
    """Unpack the files of a package whose names begin with ``below``: two of 1.7 GB suffice."""
    command = ("dpkg-deb", "--fsys-tarfile", str(deb))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            for member in archive:
                if member.isfile() and member.name.startswith(below):
                    archive.extract(member, folder, filter="data")
        process.stdout.read()
    if process.returncode:
        raise ChildProcessError(f"dpkg-deb failed on {deb.name}")

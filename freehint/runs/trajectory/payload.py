"""Pack named arrays into bytes that Python and a browser can read.

The layout is little-endian and compressed as a whole by zlib, so that a browser can read it with
``DecompressionStream("deflate")``::

    4 bytes   "FHT1"
    uint32    length of the header in bytes
    header    UTF-8 JSON: {"meta": {..}, "arrays": {name: {"dtype", "shape", "offset", "delta"}}}
    zeros     up to a multiple of 8
    arrays    C order, each at its offset from here, a multiple of 8

``dtype`` is one of DTYPES.  If ``delta`` is true, every row but the first along the first axis is
stored as its difference from the row before: whole numbers modulo the type's size, floats as they
are, which is exact for whole nanoseconds.  Values that stay the same or grow evenly then cost
almost nothing.
"""

import json
import math
import struct
import zlib

import numpy as np

from freehint.config import InputError, require
from freehint.inputs.reading import json_of
from freehint.inputs.rules import Flag, Kind, OneOf, Whole

MAGIC = b"FHT1"
LEVEL = 4  # level 6 takes twice as long and saves a fortieth
DTYPES = ("uint8", "uint16", "uint32", "int32", "float64")
MOST_AXES = 3
LENGTH = Whole(0, (1 << 31) - 1)
ENTRY = {
    "dtype": OneOf(DTYPES),
    "shape": Kind(list, "be a list"),
    "offset": Whole(0, 1 << 40),
    "delta": Flag(),
}


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


def _differences(array: np.ndarray) -> np.ndarray:
    found = array.copy()
    found[1:] -= array[:-1]  # unsigned: modulo
    return found


def pack(meta: dict, arrays: dict, delta=()) -> bytes:
    """Pack arrays and a description of them into bytes.

    Parameters
    ----------
    meta : dict
        The description, of values that JSON can hold.
    arrays : dict
        Name -> numpy array of one of DTYPES.
    delta : collection of str
        Names of arrays of whole numbers that change little from row to row.

    Returns
    -------
    bytes
        The arrays in the layout above.
    """
    entries, chunks, offset = {}, [], 0
    for name, array in arrays.items():
        if array.dtype.name not in DTYPES:
            raise TypeError(f"array {name}: dtype must be one of {DTYPES}, got {array.dtype}")
        stored = _differences(array) if name in delta else array
        data = _padded(np.ascontiguousarray(stored).tobytes())
        entries[name] = {
            "dtype": array.dtype.name,
            "shape": list(array.shape),
            "offset": offset,
            "delta": name in delta,
        }
        chunks.append(data)
        offset += len(data)
    header = json.dumps({"meta": meta, "arrays": entries}, separators=(",", ":")).encode()
    head = _padded(MAGIC + struct.pack("<I", len(header)) + header)
    return zlib.compress(head + b"".join(chunks), LEVEL)


def unpack(data: bytes) -> tuple:
    """Read bytes that :func:`pack` returned.

    Returns
    -------
    (dict, dict)
        The description, and the arrays by name.

    Raises
    ------
    InputError
        The bytes are something else, or not whole.
    """
    try:
        raw = zlib.decompress(data)
        if raw[:4] != MAGIC:
            raise ValueError(f"begins with {raw[:4]!r}")
        (length,) = struct.unpack_from("<I", raw, 4)
    except (zlib.error, struct.error, ValueError) as error:
        raise InputError(f"payload: this is no trajectory: {error}") from None
    header = json_of(raw[8 : 8 + length], "payload", "the description")
    for part in ("meta", "arrays"):
        found = header.get(part) if isinstance(header, dict) else header
        require(isinstance(found, dict), f"payload: {part}", "be a table", found)
    start = len(_padded(raw[: 8 + length]))
    arrays = {name: _array(raw, start, name, one) for name, one in header["arrays"].items()}
    return header["meta"], arrays


def _array(raw: bytes, start: int, name: str, entry) -> np.ndarray:
    where = f"payload: array {name:.80}: "
    require(isinstance(entry, dict), f"{where}its entry", "be a table", entry)
    for field, rule in ENTRY.items():
        require(rule.admits(entry.get(field)), where + field, rule.must, entry.get(field))
    shape, dtype = entry["shape"], np.dtype(entry["dtype"])
    good = len(shape) <= MOST_AXES and all(map(LENGTH.admits, shape))
    require(good, f"{where}shape", f"have at most {MOST_AXES} whole numbers", shape)
    count, begin = math.prod(shape), start + entry["offset"]
    there = len(raw) - begin
    require(count * dtype.itemsize <= there, f"{where}shape", f"fit {there} bytes", shape)
    array = np.frombuffer(raw, dtype, count, min(begin, len(raw))).reshape(shape)
    if not entry["delta"]:
        return array.copy()
    require(bool(shape), f"{where}delta", "be false here", True)
    with np.errstate(all="ignore"):  # a stranger's floats; what they sum up to is checked later
        return np.cumsum(array, axis=0, dtype=dtype)

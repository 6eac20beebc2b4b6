"""Traces that ui.perfetto.dev opens: slices, instants and counters on named tracks.

A file is a ``Trace`` of Perfetto's ``TracePacket`` messages in protobuf's wire format.  Protobuf
keeps a time as a whole number of ns; in Chrome's JSON it would be a fraction of a microsecond.

Source: perfetto, protos/perfetto/trace/ (trace_packet.proto, track_event/*.proto); protobuf's
"Encoding" page.
"""

from enum import IntEnum
from pathlib import Path

from freehint.files import whole_file

VARINT, LENGTH = 0, 2  # kinds of fields on the wire

# Field numbers.
PACKET = 1  # of Trace
TIMESTAMP, SEQUENCE, FLAGS, TRACK_EVENT, TRACK_DESCRIPTOR = 8, 10, 13, 11, 60  # of TracePacket
UUID, NAME, PARENT, COUNTER, CHILD_ORDERING, RANK = 1, 2, 5, 8, 11, 12  # of TrackDescriptor
UNIT_NAME = 6  # of CounterDescriptor
ANNOTATION, TYPE, TRACK, EVENT_NAME, VALUE = 4, 9, 11, 23, 30  # of TrackEvent
NOTE_NAME, NOTE_INT, NOTE_TEXT = 10, 4, 6  # of DebugAnnotation

EXPLICIT_ORDER = 3  # of the tracks below a track: by their rank
CLEARED = 1  # the sequence refers to no packet before it


class Type(IntEnum):
    """What an event is; TrackEvent.Type."""

    BEGIN = 1
    END = 2
    INSTANT = 3
    COUNTER = 4


def _varint(value: int) -> bytes:
    """A whole number, 7 bits in each byte; a negative one as its two's complement of 64 bits."""
    value &= (1 << 64) - 1
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _field(number: int, value) -> bytes:
    """A field of a message: a whole number, a text, or a message as bytes."""
    if isinstance(value, int):
        return _varint(number << 3 | VARINT) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | LENGTH) + _varint(len(data)) + data


def _notes(notes: dict) -> bytes:
    """The notes of an event, which the UI lists when it is chosen."""
    fields = b""
    for name, value in notes.items():
        number = NOTE_TEXT if isinstance(value, str) else NOTE_INT
        fields += _field(ANNOTATION, _field(NOTE_NAME, name) + _field(number, value))
    return fields


class Trace:
    """A trace that grows track by track.  The events of a track must come in the order of time."""

    def __init__(self):
        self._packets = []
        self._ranks = {}  # tracks so far below each track

    def track(self, name: str, parent: int | None = None, unit: str | None = None) -> int:
        """Add a track.

        Parameters
        ----------
        name : str
        parent : int, optional
            The track below which it is shown.
        unit : str, optional
            What a counter's track counts; None for a track of slices and instants.

        Returns
        -------
        int
            The track's number.
        """
        uuid = len(self._ranks) + 1
        rank = self._ranks.get(parent, 0)
        self._ranks[uuid] = 0
        message = _field(UUID, uuid) + _field(NAME, name)
        message += _field(CHILD_ORDERING, EXPLICIT_ORDER) + _field(RANK, rank)
        if parent is not None:
            self._ranks[parent] = rank + 1
            message += _field(PARENT, parent)
        if unit is not None:
            message += _field(COUNTER, _field(UNIT_NAME, unit))
        self._add(_field(TRACK_DESCRIPTOR, message))
        return uuid

    def slice(self, track: int, since_ns: int, length_ns: int, name: str, **notes) -> None:
        """Add a slice with nothing inside."""
        self.begin(track, since_ns, name, **notes)
        self.end(track, since_ns + length_ns)

    def begin(self, track: int, time_ns: int, name: str, **notes) -> None:
        """Begin a slice; what is added to the track before its end is inside."""
        self._event(track, time_ns, Type.BEGIN, _field(EVENT_NAME, name) + _notes(notes))

    def end(self, track: int, time_ns: int) -> None:
        """End the slice that was begun last."""
        self._event(track, time_ns, Type.END, b"")

    def instant(self, track: int, time_ns: int, name: str, **notes) -> None:
        """Add a moment."""
        self._event(track, time_ns, Type.INSTANT, _field(EVENT_NAME, name) + _notes(notes))

    def count(self, track: int, time_ns: int, value: int) -> None:
        """Add a counter's value from a moment on."""
        self._event(track, time_ns, Type.COUNTER, _field(VALUE, value))

    def _event(self, track: int, time_ns: int, kind: Type, rest: bytes) -> None:
        event = _field(TYPE, int(kind)) + _field(TRACK, track) + rest
        self._add(_field(TIMESTAMP, time_ns) + _field(TRACK_EVENT, event))

    def _add(self, packet: bytes) -> None:
        flags = b"" if self._packets else _field(FLAGS, CLEARED)
        self._packets.append(_field(PACKET, packet + _field(SEQUENCE, 1) + flags))

    def save(self, path) -> Path:
        """Write the trace; the file appears whole or not at all.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        InputError
            The file cannot be written.
        """
        path = Path(path)
        with whole_file(path) as temporary, temporary.open("wb") as file:
            file.writelines(self._packets)
        return path

"""Lines through a socket: to QEMU's monitor, and to the shell in a guest."""

import socket


class Lines:
    """Lines that come through a socket.

    Parameters
    ----------
    connection : socket
    why : callable
        Says why QEMU closed the socket.
    """

    def __init__(self, connection: socket.socket, why):
        self.connection = connection
        self.why = why
        self.rest = b""

    def read(self, patience_s: float) -> str:
        """The next line.

        Raises
        ------
        ChildProcessError
            The guest has ended, or says nothing for ``patience_s`` seconds.
        """
        self.connection.settimeout(patience_s)
        while b"\n" not in self.rest:
            try:
                data = self.connection.recv(1 << 16)
            except TimeoutError:
                raise ChildProcessError(f"the guest says nothing for {patience_s:g} s") from None
            except ConnectionError:
                data = b""
            if not data:
                raise ChildProcessError(f"the guest has ended: {self.why()}")
            self.rest += data
        line, _, self.rest = self.rest.partition(b"\n")
        return line.decode(errors="replace").rstrip("\r")

    def write(self, line: str, files=()) -> None:
        """Send one line, and with it the open files of some descriptors."""
        data = line.encode() + b"\n"
        try:
            if files:
                data = data[socket.send_fds(self.connection, [data], files) :]
            self.connection.sendall(data)
        except OSError:
            raise ChildProcessError(f"the guest has ended: {self.why()}") from None

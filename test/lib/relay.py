"""A port of ours that leads into a network namespace, for clients that cannot be moved there.

    with Relay(host, "127.0.0.1", 8086) as relay:
        grpc.insecure_channel(f"127.0.0.1:{relay.port}")
"""

import contextlib
import socket
import threading


class Relay:
    def __init__(self, host, address, port):
        self.host, self.target = host, (address, port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.sockets = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):  # the listener is closed
            while True:
                here, _ = self.listener.accept()
                try:
                    there = self.host.connect(*self.target)
                except OSError:
                    here.close()
                    continue
                there.settimeout(None)
                self.sockets += [here, there]
                for source, sink in ((here, there), (there, here)):
                    threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    @staticmethod
    def _carry(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        for one in [self.listener, *self.sockets]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

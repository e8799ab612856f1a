"""A DNS server for tests, on port 53 of a host: answers from a table, as a cluster's does.

    names = Names(host)
    names["linkerd-dst-headless.linkerd.svc.cluster.local"] = {"A": ["10.77.0.4"], "SRV": [(8086, "10-77-0-4....")]}
    names.start(); names.asked; names.stop()
"""

import contextlib
import ipaddress
import socket
import struct
import threading

TYPES = {1: "A", 28: "AAAA", 33: "SRV"}


def encode(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


class Names(dict):
    ttl = 5

    def __init__(self, host):
        super().__init__()
        self.host, self.asked = host, []

    def start(self):
        with self.host.inside():
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.sock.bind((self.host.ip4, 53))
        threading.Thread(target=self._serve, daemon=True, name="dns").start()
        return self

    def stop(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                message, peer = self.sock.recvfrom(4096)
                if not message:
                    return
                self.sock.sendto(self.answer(message), peer)

    def answer(self, message):
        labels, at = [], 12
        while message[at]:
            labels.append(message[at + 1:at + 1 + message[at]].decode())
            at += 1 + message[at]
        question = message[12:at + 5]
        name, kind = ".".join(labels).lower(), TYPES.get(struct.unpack("!H", message[at + 1:at + 3])[0])
        self.asked.append((name, kind))
        found = self.get(name, {}).get(kind, [])
        records = b"".join(self._record(question[:-4], kind, value) for value in found)
        code = 0 if name in self else 3
        return message[:2] + struct.pack("!5H", 0x8580 | code, 1, len(found), 0, 0) + question + records

    def _record(self, owner, kind, value):
        if kind == "SRV":
            number, data = 33, struct.pack("!3H", 0, 100, value[0]) + encode(value[1])
        else:
            number, data = (1 if kind == "A" else 28), ipaddress.ip_address(value).packed
        return owner + struct.pack("!HHIH", number, 1, self.ttl, len(data)) + data

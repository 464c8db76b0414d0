"""A name server that knows one name, and is silent when it is asked for any other.

Usage: names.py ADDRESS NAME ITS-ADDRESS
"""

import socket
import struct
import sys

A, IN = 1, 1


def question(message):
    """The name that a query asks for, the type of record, and where the question ends."""
    labels, at = [], 12
    while message[at]:
        end = at + 1 + message[at]
        labels.append(message[at + 1 : end].decode("ascii", "replace").lower())
        at = end
    (kind,) = struct.unpack_from("!H", message, at + 1)
    return ".".join(labels), kind, at + 5


def answer(query, end, address):
    """RFC 1035 section 4: the question again, and the address; no address says that there is none."""
    flags = 0x8180  # A response, recursion desired and available.
    head = query[:2] + struct.pack("!HHHHH", flags, 1, int(address is not None), 0, 0)
    record = b""
    if address is not None:
        record = struct.pack("!HHHIH", 0xC00C, A, IN, 60, 4) + socket.inet_aton(address)
    return head + query[12:end] + record


def main():
    here, name, address = sys.argv[1:]
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((here, 53))
    print("ready", flush=True)
    while True:
        query, client = server.recvfrom(1500)
        asked, kind, end = question(query)
        if asked == name:
            server.sendto(answer(query, end, address if kind == A else None), client)


main()

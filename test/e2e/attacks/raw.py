#!/usr/bin/python3
"""raw.py HOST KIND: sends TCP, or what may carry it, through a raw socket. The SYN has source port 40000, destination 80."""
import errno, json, socket, struct, sys

host, kind = sys.argv[1], sys.argv[2]
v6 = ":" in host
family = socket.AF_INET6 if v6 else socket.AF_INET
syn = struct.pack("!HHIIBBHHH", 40000, 80, 1, 0, 5 << 4, 2, 65535, 0, 0)
probe = socket.socket(family, socket.SOCK_DGRAM)
probe.connect((host, 9))
own = probe.getsockname()[0]


def header(protocol, fragment=0):
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(syn), 7, fragment, 64, protocol, 0, socket.inet_aton(own), socket.inet_aton(host))


try:
    if kind == "tcp":
        s, packet = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP), syn
    elif kind == "header":
        s, packet = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW), header(6) + syn
    elif kind == "fragment":
        s, packet = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW), header(6, 0x2000) + syn
    elif kind == "header6":
        s = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
        fixed = struct.pack("!IHBB16s16s", 6 << 28, 8 + len(syn), 60, 64, socket.inet_pton(family, own), socket.inet_pton(family, host))
        packet = fixed + bytes([6, 0, 1, 4, 0, 0, 0, 0]) + syn
    else:
        s, packet = socket.socket(family, socket.SOCK_RAW, int(kind)), syn
    s.sendto(packet, (host, 0))
    print(json.dumps({"event": "sent"}))
except OSError as e:
    print(json.dumps({"event": "failed", "errno": errno.errorcode.get(e.errno, str(e))}))

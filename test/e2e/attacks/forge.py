#!/usr/bin/python3
"""Packets by hand over AF_PACKET.
forge.py syn MAC SOURCE DESTINATION PORT        one SYN from source:port to destination:port
forge.py rst MAC SRC SPORT DST DPORT SEQ        one RST
forge.py watch SPORT DPORT SECONDS              on lo: the ack number that sport last sent to dport"""
import json, socket, struct, sys, time


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def tcp_packet(src, sport, dst, dport, seq, flags):
    family = socket.AF_INET6 if ":" in src else socket.AF_INET
    a, b = socket.inet_pton(family, src), socket.inet_pton(family, dst)
    header = lambda check: struct.pack("!HHIIBBHHH", sport, dport, seq, 0, 5 << 4, flags, 65535, check, 0)
    pseudo = a + b + (struct.pack("!I3xB", 20, 6) if family == socket.AF_INET6 else struct.pack("!BBH", 0, 6, 20))
    tcp = header(checksum(pseudo + header(0)))
    if family == socket.AF_INET6:
        return 0x86DD, struct.pack("!IHBB", 6 << 28, 20, 6, 64) + a + b + tcp
    ip = lambda check: struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 7, 0, 64, 6, check, a, b)
    return 0x0800, ip(checksum(ip(0))) + tcp


def send(mac, kind, packet):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
    s.sendto(packet, ("eth0", kind, 0, 0, bytes.fromhex(mac.replace(":", ""))))


verb, args = sys.argv[1], sys.argv[2:]
if verb == "syn":
    mac, src, dst, port = args[0], args[1], args[2], int(args[3])
    send(mac, *tcp_packet(src, port + 1, dst, port, 1000, 2))
    print(json.dumps({"event": "sent"}))
elif verb == "rst":
    mac, src, sport, dst, dport, seq = args[0], args[1], int(args[2]), args[3], int(args[4]), int(args[5])
    send(mac, *tcp_packet(src, sport, dst, dport, seq, 4))
    print(json.dumps({"event": "sent"}))
else:
    sport, dport, deadline = int(args[0]), int(args[1]), time.time() + float(args[2])
    s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
    s.bind(("lo", 0))
    s.settimeout(0.2)
    print(json.dumps({"event": "listening"}), flush=True)
    ack = None
    while time.time() < deadline:
        try:
            data = s.recv(2048)
        except socket.timeout:
            continue
        at = (data[0] & 15) * 4 if data[0] >> 4 == 4 else 40
        if struct.unpack_from("!HH", data, at) == (sport, dport):
            ack = struct.unpack_from("!I", data, at + 8)[0]
    print(json.dumps({"event": "seen", "port": ack}))

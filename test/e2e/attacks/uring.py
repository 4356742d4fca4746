#!/usr/bin/python3
"""uring.py HOST PORT [sqpoll] [device DEV]: connects by io_uring (raw system calls), then exchanges a line."""
import ctypes, errno, json, mmap, os, socket, struct, sys, time

libc = ctypes.CDLL(None, use_errno=True)
SETUP, ENTER = 425, 426
SQPOLL, ENTER_GETEVENTS, ENTER_SQ_WAKEUP, OP_CONNECT = 2, 1, 2, 16


def say(**event):
    print(json.dumps(event), flush=True)
    sys.exit(0)


host, port, rest = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
sqpoll = "sqpoll" in rest
target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
s = socket.socket(target[0], socket.SOCK_STREAM)
if "device" in rest:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, rest[rest.index("device") + 1].encode())

params = bytearray(120)
struct.pack_into("=III", params, 8, SQPOLL if sqpoll else 0, 0, 1000)
buffer = (ctypes.c_char * 120).from_buffer(params)
ring = libc.syscall(SETUP, 4, buffer)
if ring < 0:
    say(event="failed", errno="setup:" + errno.errorcode[ctypes.get_errno()])
sq_entries, cq_entries = struct.unpack_from("=II", params, 0)
sq = struct.unpack_from("=IIIIIIII", params, 40)  # head tail mask entries flags dropped array resv
cq = struct.unpack_from("=IIIIIIII", params, 80)  # head tail mask entries overflow cqes flags resv
size = max(sq[6] + sq_entries * 4, cq[5] + cq_entries * 16)
rings = mmap.mmap(ring, size, mmap.MAP_SHARED | mmap.MAP_POPULATE, offset=0)
sqes = mmap.mmap(ring, sq_entries * 64, mmap.MAP_SHARED | mmap.MAP_POPULATE, offset=0x10000000)

if target[0] == socket.AF_INET6:
    sockaddr = struct.pack("=HHI16sI", socket.AF_INET6, socket.htons(port), 0, socket.inet_pton(socket.AF_INET6, host), 0)
else:
    sockaddr = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(port), socket.inet_aton(host))
address = ctypes.create_string_buffer(sockaddr, len(sockaddr))
sqes[0:64] = struct.pack("=BBHiQQIIQ", OP_CONNECT, 0, 0, s.fileno(), len(sockaddr), ctypes.addressof(address), 0, 0, 1).ljust(64, b"\0")
struct.pack_into("=I", rings, sq[6], 0)
struct.pack_into("=I", rings, sq[1], 1)
flags = ENTER_SQ_WAKEUP if sqpoll else 0
submitted = libc.syscall(ENTER, ring, 1, 0, flags, None, 0)
if submitted < 0:
    say(event="failed", errno="enter:" + errno.errorcode[ctypes.get_errno()])
deadline = time.time() + 1.5
while struct.unpack_from("=I", rings, cq[1])[0] == 0:
    if time.time() > deadline:
        say(event="failed", errno="timeout")
    time.sleep(0.02)
result = struct.unpack_from("=Qi", rings, cq[5])[1]
if result < 0:
    say(event="failed", errno=errno.errorcode[-result])
s.settimeout(2)
try:
    s.sendall(b"hello\n")
    data = b""
    while data.count(b"\n") < 2:
        part = s.recv(4096)
        if not part:
            break
        data += part
    say(event="connected", data=data.decode())
except OSError as e:
    say(event="failed", errno=errno.errorcode.get(e.errno, str(e)))

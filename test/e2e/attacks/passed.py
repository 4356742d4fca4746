#!/usr/bin/python3
"""passed.py HOST PORT CGROUP: makes a socket here, and has it connected by an unprivileged child inside CGROUP."""
import errno, json, os, socket, sys

host, port, cgroup = sys.argv[1], int(sys.argv[2]), sys.argv[3]
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
if os.fork() == 0:
    with open(cgroup + "/cgroup.procs", "w") as f:
        f.write(str(os.getpid()))
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    s.close()
    _, fds, _, _ = socket.recv_fds(theirs, 1, 1)
    got = socket.socket(fileno=fds[0])
    got.settimeout(3)
    try:
        got.connect((host, port))
        got.sendall(b"hello\n")
        data = b""
        while data.count(b"\n") < 2:
            data += got.recv(4096)
        print(json.dumps({"event": "connected", "data": data.decode()}), flush=True)
    except OSError as e:
        print(json.dumps({"event": "failed", "errno": errno.errorcode.get(e.errno, str(e))}), flush=True)
    os._exit(0)
socket.send_fds(ours, [b"x"], [s.fileno()])
os.wait()

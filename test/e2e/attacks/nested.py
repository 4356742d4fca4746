#!/usr/bin/python3
"""nested.py SETUP DEVICE ADDRESS HOST PORT: makes a nested network namespace, moves DEVICE there, connects from inside."""
import ctypes, errno, json, os, socket, subprocess, sys, time

setup, device, address, host, port = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5])
libc = ctypes.CDLL(None, use_errno=True)
ready, go = os.pipe(), os.pipe()


def sh(command):
    subprocess.run(["sh", "-c", command], check=True)


child = os.fork()
if child == 0:
    if libc.unshare(0x40000000) != 0:
        print(json.dumps({"event": "crashed", "data": "unshare: " + os.strerror(ctypes.get_errno())}), flush=True)
        os._exit(1)
    os.write(ready[1], b"x")
    os.read(go[0], 1)
    nodad = " nodad" if ":" in address else ""
    sh(f"ip link set lo up; ip addr add {address} dev {device}{nodad}; ip link set {device} up")
    time.sleep(0.3)
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    s.settimeout(2)
    try:
        s.connect((host, port))
        s.sendall(b"hello\n")
        data = b""
        while data.count(b"\n") < 2:
            data += s.recv(4096)
        print(json.dumps({"event": "connected", "data": data.decode()}), flush=True)
    except socket.timeout:
        print(json.dumps({"event": "failed", "errno": "timeout"}), flush=True)
    except OSError as e:
        print(json.dumps({"event": "failed", "errno": errno.errorcode.get(e.errno, str(e))}), flush=True)
    os._exit(0)
os.read(ready[0], 1)
sh(setup)
sh(f"ip link set {device} netns {child}")
os.write(go[1], b"x")
os.wait()

#!/usr/bin/python3
"""TCP clients and servers with every socket option that a test may want; each prints one line of JSON per event.

serve PORT [--host H] [--reuseport] [--close] [--once] [--mptcp]   accepts, greets with its name, echoes
connect HOST PORT [options]                               connects, sends a line, prints what came back
hold HOST PORT                                            connects, then echoes stdin lines through the connection
"""
import argparse, ctypes, errno, json, os, socket, struct, sys, threading, time

SO_BINDTOIFINDEX, SO_MARK, IP_TRANSPARENT, IPV6_TRANSPARENT = 62, 36, 19, 75
TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_NO_COOKIE, IPPROTO_MPTCP, MSG_FASTOPEN = 30, 34, 262, 0x20000000


def say(**event):
    print(json.dumps(event), flush=True)


def family_of(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def make(args, family):
    s = socket.socket(family, socket.SOCK_STREAM, IPPROTO_MPTCP if args.mptcp else 0)
    s.settimeout(args.timeout)
    return s


def bind_device(s, args):
    if args.device:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, args.device.encode())
    if args.ifindex:
        s.setsockopt(socket.SOL_SOCKET, SO_BINDTOIFINDEX, socket.if_nametoindex(args.ifindex))


def set_mark(s, mark):
    s.setsockopt(socket.SOL_SOCKET, SO_MARK, struct.pack("=I", mark))


def address(host, port):
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4]


def serve(args):
    host = args.host or "::"
    s = make(args, family_of(host))
    s.settimeout(None)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if args.reuseport:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if args.fastopen:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
    if family_of(host) == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.bind((host, args.port))
    s.listen(128)
    say(event="listening", port=s.getsockname()[1])

    def talk(c, peer):
        try:
            c.sendall((args.name + "\n").encode())
            while True:
                data = c.recv(65536)
                if not data:
                    break
                c.sendall(data)
                if args.once:
                    break
        except OSError as e:
            say(event="broken", errno=errno.errorcode.get(e.errno, str(e)))
        c.close()

    while True:
        c, peer = s.accept()
        c.settimeout(None)
        say(event="accepted", peer=peer[0].replace("::ffff:", ""), port=peer[1], local=c.getsockname()[0].replace("::ffff:", ""))
        if args.close:
            c.close()
        else:
            threading.Thread(target=talk, args=(c, peer), daemon=True).start()


def exchange(s, args):
    s.sendall(b"hello\n")
    data = b""
    while data.count(b"\n") < 2:
        part = s.recv(4096)
        if not part:
            break
        data += part
    while args.until_eof and s.recv(4096):
        pass
    return data.decode(errors="replace")


def connect(args):
    target = address(args.host, args.port)
    s = make(args, family_of(target[0]))
    if args.transparent:
        if s.family == socket.AF_INET6:
            s.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
        else:
            s.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
    if args.mark is not None:
        set_mark(s, args.mark)
    if args.keepalive:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    bind_device(s, args)
    if args.source:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((args.source, args.sport))
    if args.fastopen_connect:
        # No cookie: the SYN waits for the first byte.
        s.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, 1)
        s.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
    if args.fastopen:
        s.settimeout(None)
        s.sendto(b"hello\n", MSG_FASTOPEN, target)
        s.settimeout(args.timeout)
        say(event="connected", local=s.getsockname()[:2], peer=s.getpeername()[:2], data=exchange(s, args))
        return
    if args.nonblocking:
        s.setblocking(False)
        e = s.connect_ex(target)
        if e not in (0, errno.EINPROGRESS):
            raise OSError(e, os.strerror(e))
        s.settimeout(args.timeout)
    else:
        s.connect(target)
    if args.late_device:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, args.late_device.encode())
    if args.late_mark is not None:
        set_mark(s, args.late_mark)
    if args.late_keepalive:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if args.nonblocking:
        deadline = time.time() + args.timeout
        while time.time() < deadline:
            try:
                s.getpeername()
                break
            except OSError:
                time.sleep(0.05)
    data = exchange(s, args)
    mark = s.getsockopt(socket.SOL_SOCKET, SO_MARK)
    say(event="connected", local=s.getsockname()[:2], peer=s.getpeername()[:2], data=data, mark=mark)


def hold(args):
    target = address(args.host, args.port)
    s = make(args, family_of(target[0]))
    s.connect(target)
    greeting = s.recv(4096)
    say(event="connected", local=s.getsockname()[:2], peer=s.getpeername()[:2], data=greeting.decode())
    for line in sys.stdin:
        s.sendall(line.encode())
        part = s.recv(4096)
        if not part:
            say(event="end")
            return
        say(event="echo", data=part.decode())


def main():
    p = argparse.ArgumentParser()
    p.add_argument("verb", choices=["serve", "connect", "hold"])
    p.add_argument("rest", nargs="+")
    for flag in ("reuseport", "close", "once", "until-eof", "mptcp", "fastopen", "fastopen-connect", "nonblocking", "transparent", "keepalive", "late-keepalive"):
        p.add_argument("--" + flag, action="store_true")
    for option in ("device", "ifindex", "late-device", "source", "host"):
        p.add_argument("--" + option)
    p.add_argument("--name", default="server")
    p.add_argument("--sport", type=int, default=0)
    p.add_argument("--mark", type=lambda v: int(v, 0))
    p.add_argument("--late-mark", type=lambda v: int(v, 0))
    p.add_argument("--timeout", type=float, default=3)
    args = p.parse_args()
    if args.verb == "serve":
        args.port = int(args.rest[0])
        serve(args)
        return
    args.host, args.port = args.rest[0], int(args.rest[1])
    try:
        (hold if args.verb == "hold" else connect)(args)
    except socket.timeout:
        say(event="failed", errno="timeout")
    except OSError as e:
        say(event="failed", errno=errno.errorcode.get(e.errno, str(e)))


main()

#!/usr/bin/python3
"""other.py sctp|smc HOST PORT: connects over what is not TCP at first sight."""
import errno, json, socket, sys

AF_SMC, IPPROTO_SCTP = 43, 132
kind, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
try:
    s = socket.socket(AF_SMC if kind == "smc" else socket.AF_INET, socket.SOCK_STREAM, IPPROTO_SCTP if kind == "sctp" else 0)
    s.settimeout(2)
    s.connect((host, port))
    print(json.dumps({"event": "connected"}))
except socket.timeout:
    print(json.dumps({"event": "failed", "errno": "timeout"}))
except OSError as e:
    print(json.dumps({"event": "failed", "errno": errno.errorcode.get(e.errno, str(e))}))

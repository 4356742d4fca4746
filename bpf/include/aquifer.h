/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
 * What the BPF programs and agent/redirect/ share. Only fixed-width types, no packed structs;
 * test/bpf/layout.test.ts compares every struct with the TypeScript codec through BTF. */
#ifndef AQUIFER_H
#define AQUIFER_H

/* Marks live in a pod's network namespace only: veth scrubs them on the way out. Matched in full (mask ~0). */
#define AQ_MARK_CAPTURE 0x41510001 /* an app's connection, on its way to the outbound listener */
#define AQ_MARK_TOAPP 0x41510002   /* the agent's connection to the app over lo, with the client's own address */
#define AQ_MARK_DIRECT 0x41510003  /* the agent's same-node connection, from the source pod's namespace */

#define AQ_PORT_OUTBOUND 15001
#define AQ_PORT_INBOUND 15006
#define AQ_PORT_HBONE 15008

/* Index of a listener in `listeners`: slot * AQ_LISTENERS_PER_POD + one of these. */
enum aq_listener {
	AQ_LISTENER_OUTBOUND = 0,
	AQ_LISTENER_INBOUND = 1,
	AQ_LISTENER_HBONE = 2,
	AQ_LISTENERS_PER_POD = 4,
};

/* Addresses of one pod that steer knows; more are refused at enrolment. */
#define AQ_MAX_ADDRESSES 8
/* Deepest cgroup, counted from the v2 root, at which the agent is still recognised. */
#define AQ_MAX_CGROUP_DEPTH 16
/* Where a program does not know the pod. */
#define AQ_SLOT_NONE 0xffffffff

/* Limits; the agent may lower the maps' sizes at load, never raise them silently. */
#define AQ_MAX_PODS 4096
#define AQ_MAX_CONNECTIONS 262144

/* One address and port pair of a TCP connection as the pod sees it: IPv4 is v4-mapped, ports in host order. */
struct aq_tuple {
	__u32 local_addr[4]; /* network order */
	__u32 remote_addr[4];
	__u16 local_port;
	__u16 remote_port;
};

enum aq_pod_flag {
	AQ_POD_HELD = 1, /* enrolment failed or is not complete: connect refuses all TCP */
};

/* Value of `enrolled`, by netns cookie. */
struct aq_pod {
	__u32 slot;
	__u32 flags;
};

/* Who opened a connection that steer passes to the app. */
enum aq_origin_kind {
	AQ_ORIGIN_AGENT = 1, /* judged by the agent before it connected */
	AQ_ORIGIN_NODE = 2,  /* a process of the node (kubelet): passes to declared probe ports only */
};

struct aq_origin {
	__u32 kind;
	__u32 reserved;
	__u64 since_ns; /* CLOCK_MONOTONIC */
};

/* Value of `older`: a connection that was open before its pod was enrolled. */
struct aq_older {
	__u32 slot;
	__u32 reserved;
};

struct aq_probe_port {
	__u32 slot;
	__u16 port;
	__u16 reserved;
};

/* Why a program let something pass or not; the index of `verdicts` (per-CPU counters). Append only. */
enum aq_reason {
	AQ_PASS_CAPTURED = 0,       /* connect: marked */
	AQ_PASS_LOOPBACK,           /* steer: own address to own address */
	AQ_PASS_RECORDED,           /* steer: the agent's own, already judged */
	AQ_PASS_PROBE,              /* steer: a node process to a declared port */
	AQ_STEER_OUTBOUND,          /* steer: to the outbound listener */
	AQ_STEER_INBOUND,           /* steer: to the inbound listener */
	AQ_STEER_HBONE,             /* steer: to the HBONE listener */
	AQ_DROP_BOUND_DEVICE,       /* connect: the socket is bound to a device */
	AQ_DROP_LINK_LOCAL,         /* connect: fe80::/10 */
	AQ_DROP_MARK_FAILED,        /* connect: SO_MARK could not be set or the address not remembered */
	AQ_DROP_AGENT_PORT,         /* steer: 15001, 15006, or 15008 not from the wire */
	AQ_DROP_NOT_MINE,           /* steer: neither end is this pod's address */
	AQ_DROP_NO_LISTENER,        /* steer: the agent's listener is missing */
	AQ_DROP_ASSIGN_FAILED,      /* steer: bpf_sk_assign refused */
	AQ_DROP_UNCAPTURED_EGRESS,  /* guard: TCP that left the capture */
	AQ_DROP_UNCAPTURED_INGRESS, /* guard: TCP that arrived past the listeners */
	AQ_DROP_PROTOCOL,           /* guard: neither TCP, UDP nor ICMP */
	AQ_DROP_RECORD_FAILED,      /* sockops: the connection table is full; steer will refuse */
	AQ_DROP_MALFORMED,          /* guard: headers that cannot be read, or TCP in fragments */
	AQ_DROP_HELD,               /* connect: the pod's enrolment is not complete */
	AQ_DROP_REWRITE_FAILED,     /* guard: another program changed the address and it could not be told to the agent */
	AQ_PASS_AGENT,              /* connect: a task of the agent */
	AQ_PACKET_LOOPBACK,         /* guard: TCP over lo (packets, like the five below) */
	AQ_PACKET_DATAGRAM,         /* guard: UDP, ICMP, ICMPv6 */
	AQ_PACKET_RECORDED,         /* guard: a connection of the agent or a probe of the node */
	AQ_PACKET_OLDER,            /* guard: a listed connection from before the enrolment */
	AQ_PACKET_AGENT,            /* guard: a socket of the agent under the pod's cgroup */
	AQ_NOTE_REWRITTEN,          /* guard: another program changed the address; the agent has been told */
	AQ_EVENT_SUPPRESSED,        /* refused, counted, but above events_per_second */
	AQ_EVENT_LOST,              /* refused, counted, but `events` was full */
	AQ_REASONS,
};

/* One record of `events`, for refusals only, at most `aq_events_per_second` on each CPU. */
struct aq_event {
	__u64 time_ns;
	__u64 netns_cookie;
	struct aq_tuple tuple;
	__u32 slot;
	__u32 reason;
	__u32 protocol;
	__u32 reserved[2];
};

/* Address that the app asked for, kept with its socket: another cgroup/connect program may rewrite it after ours. */
struct aq_asked {
	__u32 addr[4];
	__u16 port;
	__u16 reserved;
	__u32 seen; /* guard has compared it with the packet */
};

/* Value of `rewritten`, by the tuple of the app's socket. */
struct aq_rewritten {
	struct aq_asked asked;
	__u64 since_ns;
};

#endif

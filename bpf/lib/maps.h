/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
 * All maps, with the reason for each size. Every object declares all of them; the loader creates them once for each
 * agent instance and hands the same ones to every object by name. */
#ifndef AQUIFER_MAPS_H
#define AQUIFER_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "aquifer.h"

/* Enrolled network namespaces, by cookie. 16 bytes a pod; a kubelet's default is 110 pods a node. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, AQ_MAX_PODS);
	__type(key, __u64);
	__type(value, struct aq_pod);
} enrolled SEC(".maps");

/* cgroup ids of the agent, old and new during an upgrade; the value is the pid that registered it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u64);
	__type(value, __u32);
} agent_cgroups SEC(".maps");

/* What the app asked for; lives and dies with its socket, so it needs no size. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct aq_asked);
} asked SEC(".maps");

/* The recorded tuple on whose account guard lets a socket speak on a device; lives and dies with the socket. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct aq_tuple);
} admitted SEC(".maps");

/* Addresses that another connect program changed, until the agent accepts the connection: a backlog's worth. Never LRU:
 * an evicted entry would have the agent judge the wrong destination. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct aq_tuple);
	__type(value, struct aq_rewritten);
} rewritten SEC(".maps");

/* Connections of the agent and of the node's own processes, by the tuple as the pod sees it. Never LRU: an evicted entry
 * would land the agent's own connection in its own listener. Allocated as needed: about 130 bytes each. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, AQ_MAX_CONNECTIONS);
	__type(key, struct aq_tuple);
	__type(value, struct aq_origin);
} originated SEC(".maps");

/* Connections from before the enrolment of their pod. Never LRU, as above. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, AQ_MAX_CONNECTIONS);
	__type(key, struct aq_tuple);
	__type(value, struct aq_older);
} older SEC(".maps");

/* Declared probe and lifecycle ports: eight a pod on average. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, AQ_MAX_PODS * 8);
	__type(key, struct aq_probe_port);
	__type(value, __u32);
} probe_ports SEC(".maps");

/* The agent's listeners: index slot * AQ_LISTENERS_PER_POD + enum aq_listener. 8 bytes an entry. An entry goes when its
 * socket is closed, kill -9 included. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, AQ_MAX_PODS * AQ_LISTENERS_PER_POD);
	__type(key, __u32);
	__type(value, __u64);
} listeners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, AQ_REASONS);
	__type(key, __u32);
	__type(value, __u64);
} verdicts SEC(".maps");

/* Refusals for the log: 3,600 records, many seconds at the default rate. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

/* How many records this CPU has sent in the current second. */
struct aq_rate {
	__u64 window_ns;
	__u64 count;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct aq_rate);
} event_rate SEC(".maps");

/* Without a user in .rodata clang leaves these types out of BTF, and test/bpf/layout.test.ts could not compare them. */
const struct aq_event *const volatile aq_type_event = 0;
const volatile enum aq_reason aq_type_reason = 0;
const volatile enum aq_listener aq_type_listener = 0;
const volatile enum aq_origin_kind aq_type_origin_kind = 0;
const volatile enum aq_pod_flag aq_type_pod_flag = 0;

#endif

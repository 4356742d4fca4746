/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
 * cgroup/connect4 and connect6, at the cgroup v2 root: marks each TCP connection of an enrolled pod, so that the pod's
 * routing rules bring it to the outbound listener. The pod is found by network namespace, never by cgroup: a process
 * that entered the namespace from elsewhere is captured too. MPTCP comes here with its first subflow, as TCP. */
#include "verdict.h"

#define AQ_IPPROTO_TCP 6
#define AQ_IPPROTO_MPTCP 262
#define AQ_SOL_SOCKET 1
#define AQ_SO_MARK 36
#define AQ_IFINDEX_LO 1

enum { REFUSE = 0, PROCEED = 1 };

/* Of the task, not of the socket: a socket that an app was handed by the agent would else be exempt. */
static __always_inline bool is_agent_task(void)
{
#pragma clang loop unroll(disable)
	for (int level = 1; level <= AQ_MAX_CGROUP_DEPTH; level++) {
		__u64 id = bpf_get_current_ancestor_cgroup_id(level);

		if (!id)
			return false;
		if (bpf_map_lookup_elem(&agent_cgroups, &id))
			return true;
	}
	return false;
}

static __always_inline bool remember(struct bpf_sock_addr *ctx, const struct aq_tuple *tuple)
{
	struct bpf_sock *sk = ctx->sk;
	struct aq_asked *entry;

	if (!sk)
		return false;
	entry = bpf_sk_storage_get(&asked, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!entry)
		return false;
	__builtin_memcpy(entry->addr, tuple->remote_addr, sizeof(entry->addr));
	entry->port = tuple->remote_port;
	entry->seen = 0;
	return true;
}

static __always_inline __u32 judge(struct bpf_sock_addr *ctx, const struct aq_pod *pod, const struct aq_tuple *tuple)
{
	struct bpf_sock *sk = ctx->sk;
	__u32 mark = AQ_MARK_CAPTURE;

	if (is_agent_task())
		return AQ_PASS_AGENT;
	/* Half enrolled: nothing would carry the mark to a listener. */
	if (pod->flags & AQ_POD_HELD)
		return AQ_DROP_HELD;
	/* A bound device skips the local route; guard would drop the SYN, this is the quick and clear error. */
	if (sk && sk->bound_dev_if > AQ_IFINDEX_LO)
		return AQ_DROP_BOUND_DEVICE;
	/* A scope id binds the route as a device does. */
	if (is_link_local(tuple->remote_addr))
		return AQ_DROP_LINK_LOCAL;
	/* Whatever mark was there. Loopback and own addresses are marked too: their routes come before our rules, steer
	 * passes them, and an own address cannot be told from others here. */
	if (bpf_setsockopt(ctx, AQ_SOL_SOCKET, AQ_SO_MARK, &mark, sizeof(mark)))
		return AQ_DROP_MARK_FAILED;
	if (!remember(ctx, tuple))
		return AQ_DROP_MARK_FAILED;
	return AQ_PASS_CAPTURED;
}

static __always_inline int connect(struct bpf_sock_addr *ctx, struct aq_tuple *tuple)
{
	__u64 cookie = bpf_get_netns_cookie(ctx);
	struct aq_pod *pod = bpf_map_lookup_elem(&enrolled, &cookie);
	__u32 reason;

	if (!pod)
		return PROCEED;
	if (ctx->protocol != AQ_IPPROTO_TCP && ctx->protocol != AQ_IPPROTO_MPTCP)
		return PROCEED; /* guard drops what is neither UDP nor ICMP */
	tuple->remote_port = bpf_ntohs(ctx->user_port);
	reason = judge(ctx, pod, tuple);
	count(reason);
	if (!is_refusal(reason))
		return PROCEED;
	report(reason, cookie, pod->slot, AQ_IPPROTO_TCP, tuple);
	return REFUSE;
}

SEC("cgroup/connect4")
int aq_connect4(struct bpf_sock_addr *ctx)
{
	struct aq_tuple tuple = {};

	set_v4(tuple.remote_addr, ctx->user_ip4);
	return connect(ctx, &tuple);
}

SEC("cgroup/connect6")
int aq_connect6(struct bpf_sock_addr *ctx)
{
	struct aq_tuple tuple = {};

	set_v6(tuple.remote_addr, ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]);
	return connect(ctx, &tuple);
}

char aq_license[] SEC("license") = "GPL";

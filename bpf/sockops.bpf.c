/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
 * sock_ops on the agent's cgroup and on the node's own (kubelet's): before the SYN leaves, records the connection under
 * the tuple that the pod will see, so that steer and guard there know it; forgets it with the socket's last change of
 * state, which also comes when the process is killed. */
#include "verdict.h"

#define AQ_IPPROTO_TCP 6

static __always_inline void read_tuple(struct bpf_sock_ops *ctx, struct aq_tuple *tuple)
{
	if (ctx->family == AQ_AF_INET) {
		set_v4(tuple->local_addr, READ(ctx->remote_ip4));
		set_v4(tuple->remote_addr, READ(ctx->local_ip4));
	} else {
		set_v6(tuple->local_addr, READ(ctx->remote_ip6[0]), READ(ctx->remote_ip6[1]), READ(ctx->remote_ip6[2]),
		       READ(ctx->remote_ip6[3]));
		set_v6(tuple->remote_addr, READ(ctx->local_ip6[0]), READ(ctx->local_ip6[1]), READ(ctx->local_ip6[2]),
		       READ(ctx->local_ip6[3]));
	}
	tuple->local_port = (__u16)bpf_ntohl(ctx->remote_port);
	tuple->remote_port = (__u16)ctx->local_port;
}

static __always_inline void record(struct bpf_sock_ops *ctx, __u32 kind)
{
	struct aq_origin origin = { .kind = kind, .since_ns = bpf_ktime_get_ns() };
	struct aq_tuple tuple = {};

	read_tuple(ctx, &tuple);
	/* Without the callback the record would stay for ever. */
	if (bpf_sock_ops_cb_flags_set(ctx, BPF_SOCK_OPS_STATE_CB_FLAG) ||
	    bpf_map_update_elem(&originated, &tuple, &origin, BPF_ANY)) {
		count(AQ_DROP_RECORD_FAILED);
		report(AQ_DROP_RECORD_FAILED, 0, AQ_SLOT_NONE, AQ_IPPROTO_TCP, &tuple);
	}
}

static __always_inline void forget(struct bpf_sock_ops *ctx)
{
	struct aq_tuple tuple = {};

	read_tuple(ctx, &tuple);
	bpf_map_delete_elem(&originated, &tuple);
}

SEC("sockops")
int aq_ops_agent(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	if (ctx->op == BPF_SOCK_OPS_TCP_CONNECT_CB) {
		/* To other nodes and to the world outside: nothing in a pod here need know them. */
		if (sk && (sk->mark == AQ_MARK_TOAPP || sk->mark == AQ_MARK_DIRECT))
			record(ctx, AQ_ORIGIN_AGENT);
	} else if (ctx->op == BPF_SOCK_OPS_STATE_CB && ctx->args[1] == BPF_TCP_CLOSE) {
		forget(ctx);
	}
	return 1;
}

SEC("sockops")
int aq_ops_node(struct bpf_sock_ops *ctx)
{
	if (ctx->op == BPF_SOCK_OPS_TCP_CONNECT_CB)
		record(ctx, AQ_ORIGIN_NODE);
	else if (ctx->op == BPF_SOCK_OPS_STATE_CB && ctx->args[1] == BPF_TCP_CLOSE)
		forget(ctx);
	return 1;
}

char aq_license[] SEC("license") = "GPL";

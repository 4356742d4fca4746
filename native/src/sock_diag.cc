#include "sock_diag.h"

#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "address.h"
#include "net.h"
#include "netlink.h"
#include "util/args.h"
#include "util/error.h"

#ifndef SOCK_DESTROY
#define SOCK_DESTROY 21
#endif

namespace aq {
namespace {

constexpr int kDumpAttempts = 3;

bool Open(const Napi::CallbackInfo& info, NetlinkSocket* netlink) {
  auto netns = FdOf(info.Env(), info[0], "netns");
  if (!netns) return false;
  int error = netlink->Open(Net::Of(info), *netns, NETLINK_SOCK_DIAG);
  if (error != 0) ThrowErrno(info.Env(), error, "socket(NETLINK_SOCK_DIAG)");
  return error == 0;
}

uint64_t CookieOf(const inet_diag_sockid& id) {
  return static_cast<uint64_t>(id.idiag_cookie[1]) << 32 | id.idiag_cookie[0];
}

// A dual-stack socket that speaks IPv4 counts as IPv4, as its addresses do.
bool SpeaksV4(const inet_diag_msg& socket) {
  return socket.idiag_family == AF_INET ||
         IN6_IS_ADDR_V4MAPPED(reinterpret_cast<const in6_addr*>(socket.id.idiag_src));
}

Napi::Value EndpointOf(Napi::Env env, int family, const void* address, uint16_t port) {
  Napi::Object endpoint = Napi::Object::New(env);
  endpoint.Set("address", Napi::String::New(env, AddressText(family, address)));
  endpoint.Set("port", Napi::Number::New(env, ntohs(port)));
  return endpoint;
}

struct ListedSocket {
  inet_diag_msg message;
  uint32_t mark = 0;
};

Napi::Value SocketToJs(Napi::Env env, const ListedSocket& listed) {
  const inet_diag_msg& socket = listed.message;
  Napi::Object object = Napi::Object::New(env);
  object.Set("family", Napi::Number::New(env, SpeaksV4(socket) ? 4 : 6));
  object.Set("state", Napi::Number::New(env, socket.idiag_state));
  object.Set("local", EndpointOf(env, socket.idiag_family, socket.id.idiag_src, socket.id.idiag_sport));
  object.Set("remote", EndpointOf(env, socket.idiag_family, socket.id.idiag_dst, socket.id.idiag_dport));
  object.Set("interfaceIndex", Napi::Number::New(env, socket.id.idiag_if));
  object.Set("uid", Napi::Number::New(env, socket.idiag_uid));
  object.Set("inode", Napi::Number::New(env, socket.idiag_inode));
  object.Set("cookie", Napi::BigInt::New(env, CookieOf(socket.id)));
  object.Set("mark", Napi::Number::New(env, listed.mark));
  return object;
}

// (netns, states)
Napi::Value ListTcpSockets(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  NetlinkSocket netlink;
  auto states = IntegerOf(env, info[1], "states", 0, UINT32_MAX);
  if (!states || !Open(info, &netlink)) return env.Undefined();
  std::vector<ListedSocket> sockets;
  // The older request type takes both families in one go. Each dump walks the host's whole connection table, whatever
  // the namespace: some milliseconds where that is large.
  inet_diag_req request{};
  request.idiag_family = AF_UNSPEC;
  request.idiag_states = static_cast<uint32_t>(*states);
  NetlinkMessage message(TCPDIAG_GETSOCK, 0, &request, sizeof(request));
  int error = EINTR;
  for (int attempt = 0; attempt < kDumpAttempts && error == EINTR; attempt++) {
    sockets.clear();
    error = netlink.Dump(&message, [&](const nlmsghdr& head) {
      if (head.nlmsg_len < NLMSG_LENGTH(sizeof(inet_diag_msg))) return;
      ListedSocket listed{*static_cast<const inet_diag_msg*>(NLMSG_DATA(&head))};
      ForEachAttribute(head, sizeof(inet_diag_msg), [&](uint16_t type, const uint8_t* data, size_t size) {
        if (type == INET_DIAG_MARK && size == sizeof(listed.mark)) std::memcpy(&listed.mark, data, size);
      });
      sockets.push_back(listed);
    });
  }
  if (error != 0) return ThrowErrno(env, error, "netlink(TCPDIAG_GETSOCK)", netlink.detail()), env.Undefined();
  Napi::Array list = Napi::Array::New(env, sockets.size());
  for (uint32_t i = 0; i < sockets.size(); i++) {
    Napi::HandleScope scope(env);
    list.Set(i, SocketToJs(env, sockets[i]));
  }
  return list;
}

bool PutEndpoint(Napi::Env env, Napi::Value value, const char* name, int* family, void* address, uint16_t* port) {
  auto endpoint = ObjectOf(env, value, name);
  if (!endpoint) return false;
  auto text = StringOf(env, endpoint->Get("address"), "address");
  if (!text) return false;
  auto number = IntegerOf(env, endpoint->Get("port"), "port", 0, 65535);
  if (!number) return false;
  *family = ParseAddress(*text, address);
  *port = htons(static_cast<uint16_t>(*number));
  if (*family == 0) ThrowErrno(env, EINVAL, "netlink(SOCK_DESTROY)", "address '" + *text + "'");
  return *family != 0;
}

// (netns, socket). The 4-tuple finds it, the cookie makes sure that it is still the same.
Napi::Value DestroySocket(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto object = ObjectOf(env, info[1], "socket");
  if (!object) return env.Undefined();
  inet_diag_req_v2 request{};
  int local_family = 0;
  int remote_family = 0;
  if (!PutEndpoint(env, object->Get("local"), "local", &local_family, request.id.idiag_src, &request.id.idiag_sport) ||
      !PutEndpoint(env, object->Get("remote"), "remote", &remote_family, request.id.idiag_dst, &request.id.idiag_dport)) {
    return env.Undefined();
  }
  auto interface_index = IntegerOf(env, object->Get("interfaceIndex"), "interfaceIndex", 0, UINT32_MAX);
  if (!interface_index) return env.Undefined();
  Napi::Value cookie = object->Get("cookie");
  if (!cookie.IsBigInt()) return ThrowArgument(env, "cookie must be a bigint"), env.Undefined();
  bool lossless = false;
  uint64_t cookie_bits = cookie.As<Napi::BigInt>().Uint64Value(&lossless);
  if (local_family != remote_family || !lossless) {
    return ThrowErrno(env, EINVAL, "netlink(SOCK_DESTROY)", "socket"), env.Undefined();
  }
  request.sdiag_family = static_cast<uint8_t>(local_family);
  request.sdiag_protocol = IPPROTO_TCP;
  request.id.idiag_if = static_cast<uint32_t>(*interface_index);
  request.id.idiag_cookie[0] = static_cast<uint32_t>(cookie_bits);
  request.id.idiag_cookie[1] = static_cast<uint32_t>(cookie_bits >> 32);

  NetlinkSocket netlink;
  if (!Open(info, &netlink)) return env.Undefined();
  NetlinkMessage message(SOCK_DESTROY, 0, &request, sizeof(request));
  int error = netlink.Request(&message);
  if (error != 0 && error != ENOENT && error != ESTALE) {
    ThrowErrno(env, error, "netlink(SOCK_DESTROY)", netlink.detail());
    return env.Undefined();
  }
  return Napi::Boolean::New(env, error == 0);
}

}  // namespace

void InitSockDiag(Napi::Env env, Napi::Object exports, Net* net) {
  net->Export(env, exports, "listTcpSockets", ListTcpSockets);
  net->Export(env, exports, "destroySocket", DestroySocket);
}

}  // namespace aq

#include "local_route.h"

#include <linux/rtnetlink.h>

#include <cerrno>
#include <optional>
#include <vector>

#include "address.h"
#include "net.h"
#include "rtnetlink.h"
#include "util/args.h"
#include "util/error.h"

namespace aq {
namespace {

struct LocalRoute {
  uint8_t family = 0;
  uint32_t table = 0;
  std::optional<std::string> source;
  uint8_t source_bytes[16] = {};
};

bool RouteOf(Napi::Env env, Napi::Value value, LocalRoute* route) {
  auto object = ObjectOf(env, value, "route");
  if (!object || !FamilyField(env, *object, &route->family) || !U32Field(env, *object, "table", &route->table)) return false;
  Napi::Value source = object->Get("source");
  if (source.IsNull()) return true;
  route->source = StringOf(env, source, "source");
  if (!route->source) return false;
  if (ParseAddress(*route->source, route->source_bytes) != route->family) {
    ThrowErrno(env, EINVAL, "netlink", "source '" + *route->source + "'");
    return false;
  }
  return true;
}

NetlinkMessage RouteMessage(uint16_t type, uint16_t flags, const LocalRoute& route) {
  rtmsg header{};
  header.rtm_family = route.family;
  header.rtm_table = route.table < 256 ? static_cast<uint8_t>(route.table) : static_cast<uint8_t>(RT_TABLE_UNSPEC);
  header.rtm_protocol = RTPROT_STATIC;
  header.rtm_scope = route.family == AF_INET ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
  header.rtm_type = RTN_LOCAL;
  NetlinkMessage message(type, flags, &header, sizeof(header));
  message.AddU32(RTA_TABLE, route.table);
  message.AddU32(RTA_OIF, kLoopback);
  if (route.source) message.Add(RTA_PREFSRC, route.source_bytes, AddressBytes(route.family));
  return message;
}

std::string Text(const LocalRoute& route) {
  return "local default dev lo table " + std::to_string(route.table) + (route.source ? " src " + *route.source : "");
}

Napi::Value AddLocalRoute(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  NetlinkSocket netlink;
  LocalRoute route;
  if (!RouteOf(env, info[1], &route) || !OpenRoute(info, &netlink)) return env.Undefined();
  NetlinkMessage message = RouteMessage(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route);
  int error = netlink.Request(&message);
  if (error != 0) ThrowErrno(env, error, "netlink(RTM_NEWROUTE)", Explain(Text(route), netlink));
  return env.Undefined();
}

Napi::Value DeleteLocalRoute(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  NetlinkSocket netlink;
  LocalRoute route;
  if (!RouteOf(env, info[1], &route) || !OpenRoute(info, &netlink)) return env.Undefined();
  NetlinkMessage message = RouteMessage(RTM_DELROUTE, 0, route);
  int error = netlink.Request(&message);
  // ESRCH: no such route; ENOENT: no such table.
  bool gone = error == ESRCH || error == ENOENT;
  if (error != 0 && !gone) {
    ThrowErrno(env, error, "netlink(RTM_DELROUTE)", Explain(Text(route), netlink));
    return env.Undefined();
  }
  return Napi::Boolean::New(env, error == 0);
}

std::optional<LocalRoute> ParseRoute(const nlmsghdr& head) {
  auto* header = static_cast<const rtmsg*>(NLMSG_DATA(&head));
  if (header->rtm_type != RTN_LOCAL || header->rtm_dst_len != 0 || header->rtm_src_len != 0) return std::nullopt;
  LocalRoute route;
  route.family = header->rtm_family;
  route.table = header->rtm_table;
  uint32_t device = 0;
  ForEachAttribute(head, sizeof(rtmsg), [&](uint16_t type, const uint8_t* data, size_t size) {
    if (type == RTA_TABLE) route.table = U32Of(data, size);
    if (type == RTA_OIF) device = U32Of(data, size);
    if (type == RTA_PREFSRC && size == AddressBytes(route.family)) route.source = AddressText(route.family, data);
  });
  if (device != kLoopback) return std::nullopt;
  return route;
}

Napi::Value ListLocalRoutes(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  NetlinkSocket netlink;
  if (!OpenRoute(info, &netlink)) return env.Undefined();
  std::vector<LocalRoute> routes;
  for (uint8_t family : {AF_INET, AF_INET6}) {
    rtmsg header{};
    header.rtm_family = family;
    size_t before = routes.size();
    int error = StableDump(
        &netlink, NetlinkMessage(RTM_GETROUTE, 0, &header, sizeof(header)), [&] { routes.resize(before); },
        [&](const nlmsghdr& head) {
          if (auto route = ParseRoute(head)) routes.push_back(*route);
        });
    if (error != 0) return ThrowErrno(env, error, "netlink(RTM_GETROUTE)", netlink.detail()), env.Undefined();
  }
  Napi::Array list = Napi::Array::New(env, routes.size());
  for (uint32_t i = 0; i < routes.size(); i++) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("family", Napi::Number::New(env, FamilyNumber(routes[i].family)));
    object.Set("table", Napi::Number::New(env, routes[i].table));
    object.Set("source", routes[i].source ? Napi::String::New(env, *routes[i].source) : env.Null());
    list.Set(i, object);
  }
  return list;
}

}  // namespace

void InitLocalRoute(Napi::Env env, Napi::Object exports, Net* net) {
  net->Export(env, exports, "addLocalRoute", AddLocalRoute);
  net->Export(env, exports, "deleteLocalRoute", DeleteLocalRoute);
  net->Export(env, exports, "listLocalRoutes", ListLocalRoutes);
}

}  // namespace aq

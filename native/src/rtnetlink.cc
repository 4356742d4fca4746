#include "rtnetlink.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <unordered_map>

#include "address.h"
#include "net.h"
#include "netlink.h"
#include "util/args.h"
#include "util/error.h"

namespace aq {
namespace {

constexpr uint32_t kLoopback = 1;  // its index in every namespace
constexpr int kDumpAttempts = 5;

struct Rule {
  uint8_t family = 0;
  uint32_t mark = 0;
  uint32_t mask = 0;
  uint32_t table = 0;
  uint32_t priority = 0;
};

struct LocalRoute {
  uint8_t family = 0;
  uint32_t table = 0;
  std::optional<std::string> source;
  uint8_t source_bytes[16] = {};
};

size_t AddressBytes(int family) { return family == AF_INET ? 4 : 16; }
int FamilyNumber(int family) { return family == AF_INET ? 4 : 6; }

bool FamilyOf(Napi::Env env, Napi::Object object, uint8_t* family) {
  auto number = IntegerOf(env, object.Get("family"), "family", 4, 6);
  if (!number) return false;
  if (*number == 5) return ThrowArgument(env, "family must be 4 or 6"), false;
  *family = *number == 4 ? AF_INET : AF_INET6;
  return true;
}

bool U32Field(Napi::Env env, Napi::Object object, const char* name, uint32_t* value) {
  auto number = IntegerOf(env, object.Get(name), name, 0, UINT32_MAX);
  if (!number) return false;
  *value = static_cast<uint32_t>(*number);
  return true;
}

bool RuleOf(Napi::Env env, Napi::Value value, Rule* rule) {
  auto object = ObjectOf(env, value, "rule");
  return object && FamilyOf(env, *object, &rule->family) && U32Field(env, *object, "mark", &rule->mark) &&
         U32Field(env, *object, "mask", &rule->mask) && U32Field(env, *object, "table", &rule->table) &&
         U32Field(env, *object, "priority", &rule->priority);
}

bool RouteOf(Napi::Env env, Napi::Value value, LocalRoute* route) {
  auto object = ObjectOf(env, value, "route");
  if (!object || !FamilyOf(env, *object, &route->family) || !U32Field(env, *object, "table", &route->table)) return false;
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

// Null or a socket in that namespace.
bool Open(const Napi::CallbackInfo& info, NetlinkSocket* netlink) {
  auto netns = FdOf(info.Env(), info[0], "netns");
  if (!netns) return false;
  int error = netlink->Open(Net::Of(info), *netns, NETLINK_ROUTE);
  if (error != 0) ThrowErrno(info.Env(), error, "socket(NETLINK_ROUTE)");
  return error == 0;
}

NetlinkMessage RuleMessage(uint16_t type, uint16_t flags, const Rule& rule) {
  fib_rule_hdr header{};
  header.family = rule.family;
  header.table = rule.table < 256 ? static_cast<uint8_t>(rule.table) : static_cast<uint8_t>(RT_TABLE_UNSPEC);
  header.action = FR_ACT_TO_TBL;
  NetlinkMessage message(type, flags, &header, sizeof(header));
  message.AddU32(FRA_FWMARK, rule.mark);
  message.AddU32(FRA_FWMASK, rule.mask);
  message.AddU32(FRA_TABLE, rule.table);
  message.AddU32(FRA_PRIORITY, rule.priority);
  message.AddU8(FRA_PROTOCOL, RTPROT_STATIC);
  return message;
}

std::string Explain(const std::string& what, const NetlinkSocket& netlink) {
  return netlink.detail().empty() ? what : what + " (" + netlink.detail() + ")";
}

std::string Text(const Rule& rule) {
  return "rule priority " + std::to_string(rule.priority) + " mark " + std::to_string(rule.mark) + " table " +
         std::to_string(rule.table);
}

std::string Text(const LocalRoute& route) {
  return "local default dev lo table " + std::to_string(route.table) + (route.source ? " src " + *route.source : "");
}

Napi::Value AddRule(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  NetlinkSocket netlink;
  Rule rule;
  if (!RuleOf(env, info[1], &rule) || !Open(info, &netlink)) return env.Undefined();
  NetlinkMessage message = RuleMessage(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule);
  int error = netlink.Request(&message);
  if (error != 0) ThrowErrno(env, error, "netlink(RTM_NEWRULE)", Explain(Text(rule), netlink));
  return env.Undefined();
}

Napi::Value DeleteRule(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  NetlinkSocket netlink;
  Rule rule;
  if (!RuleOf(env, info[1], &rule) || !Open(info, &netlink)) return env.Undefined();
  NetlinkMessage message = RuleMessage(RTM_DELRULE, 0, rule);
  int error = netlink.Request(&message);
  if (error != 0 && error != ENOENT) {
    ThrowErrno(env, error, "netlink(RTM_DELRULE)", Explain(Text(rule), netlink));
    return env.Undefined();
  }
  return Napi::Boolean::New(env, error == 0);
}

// A table that changes under a dump makes it worthless; it is short, so it is taken again.
int StableDump(NetlinkSocket* netlink, NetlinkMessage message, const std::function<void()>& restart,
               const std::function<void(const nlmsghdr&)>& visit) {
  int error = EINTR;
  for (int attempt = 0; attempt < kDumpAttempts && error == EINTR; attempt++) {
    restart();
    error = netlink->Dump(&message, visit);
  }
  return error;
}

std::optional<Rule> ParseRule(const nlmsghdr& head) {
  auto* header = static_cast<const fib_rule_hdr*>(NLMSG_DATA(&head));
  Rule rule;
  rule.family = header->family;
  rule.table = header->table;
  bool marked = false;
  ForEachAttribute(head, sizeof(fib_rule_hdr), [&](uint16_t type, const uint8_t* data, size_t size) {
    if (type == FRA_FWMARK) {
      rule.mark = U32Of(data, size);
      marked = true;
    }
    if (type == FRA_FWMASK) rule.mask = U32Of(data, size);
    if (type == FRA_TABLE) rule.table = U32Of(data, size);
    if (type == FRA_PRIORITY) rule.priority = U32Of(data, size);
  });
  if (!marked || header->action != FR_ACT_TO_TBL || (header->flags & FIB_RULE_INVERT)) return std::nullopt;
  return rule;
}

// Those that look a mark up in a table; others cannot be told as a Rule.
Napi::Value ListRules(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  NetlinkSocket netlink;
  if (!Open(info, &netlink)) return env.Undefined();
  std::vector<Rule> rules;
  for (uint8_t family : {AF_INET, AF_INET6}) {
    fib_rule_hdr header{};
    header.family = family;
    size_t before = rules.size();
    int error = StableDump(
        &netlink, NetlinkMessage(RTM_GETRULE, 0, &header, sizeof(header)), [&] { rules.resize(before); },
        [&](const nlmsghdr& head) {
          if (auto rule = ParseRule(head)) rules.push_back(*rule);
        });
    if (error != 0) return ThrowErrno(env, error, "netlink(RTM_GETRULE)", netlink.detail()), env.Undefined();
  }
  Napi::Array list = Napi::Array::New(env, rules.size());
  for (uint32_t i = 0; i < rules.size(); i++) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("family", Napi::Number::New(env, FamilyNumber(rules[i].family)));
    object.Set("mark", Napi::Number::New(env, rules[i].mark));
    object.Set("mask", Napi::Number::New(env, rules[i].mask));
    object.Set("table", Napi::Number::New(env, rules[i].table));
    object.Set("priority", Napi::Number::New(env, rules[i].priority));
    list.Set(i, object);
  }
  return list;
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

Napi::Value AddLocalRoute(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  NetlinkSocket netlink;
  LocalRoute route;
  if (!RouteOf(env, info[1], &route) || !Open(info, &netlink)) return env.Undefined();
  NetlinkMessage message = RouteMessage(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route);
  int error = netlink.Request(&message);
  if (error != 0) ThrowErrno(env, error, "netlink(RTM_NEWROUTE)", Explain(Text(route), netlink));
  return env.Undefined();
}

Napi::Value DeleteLocalRoute(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  NetlinkSocket netlink;
  LocalRoute route;
  if (!RouteOf(env, info[1], &route) || !Open(info, &netlink)) return env.Undefined();
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
  if (!Open(info, &netlink)) return env.Undefined();
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

struct InterfaceAddress {
  int family;
  uint32_t index;
  uint32_t prefix;
  std::string text;
};

std::optional<InterfaceAddress> ParseAddressMessage(const nlmsghdr& head) {
  auto* header = static_cast<const ifaddrmsg*>(NLMSG_DATA(&head));
  InterfaceAddress address{header->ifa_family, header->ifa_index, header->ifa_prefixlen, ""};
  ForEachAttribute(head, sizeof(ifaddrmsg), [&](uint16_t type, const uint8_t* data, size_t size) {
    if (size != AddressBytes(address.family)) return;
    // IFA_ADDRESS is the peer of a point-to-point link; IFA_LOCAL, where present, is this side.
    if (type == IFA_LOCAL || (type == IFA_ADDRESS && address.text.empty())) address.text = AddressText(address.family, data);
  });
  if (address.text.empty()) return std::nullopt;
  return address;
}

Napi::Value ListAddresses(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  NetlinkSocket netlink;
  if (!Open(info, &netlink)) return env.Undefined();
  std::vector<InterfaceAddress> addresses;
  std::unordered_map<uint32_t, std::string> names;
  ifaddrmsg address_header{};
  int error = StableDump(
      &netlink, NetlinkMessage(RTM_GETADDR, 0, &address_header, sizeof(address_header)), [&] { addresses.clear(); },
      [&](const nlmsghdr& head) {
        if (auto address = ParseAddressMessage(head)) addresses.push_back(*address);
      });
  if (error != 0) return ThrowErrno(env, error, "netlink(RTM_GETADDR)", netlink.detail()), env.Undefined();
  ifinfomsg link_header{};
  error = StableDump(
      &netlink, NetlinkMessage(RTM_GETLINK, 0, &link_header, sizeof(link_header)), [&] { names.clear(); },
      [&](const nlmsghdr& head) {
        auto index = static_cast<uint32_t>(static_cast<const ifinfomsg*>(NLMSG_DATA(&head))->ifi_index);
        ForEachAttribute(head, sizeof(ifinfomsg), [&](uint16_t type, const uint8_t* data, size_t size) {
          auto* text = reinterpret_cast<const char*>(data);
          if (type == IFLA_IFNAME) names[index].assign(text, strnlen(text, size));
        });
      });
  if (error != 0) return ThrowErrno(env, error, "netlink(RTM_GETLINK)", netlink.detail()), env.Undefined();
  Napi::Array list = Napi::Array::New(env, addresses.size());
  for (uint32_t i = 0; i < addresses.size(); i++) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("interfaceName", Napi::String::New(env, names[addresses[i].index]));
    object.Set("interfaceIndex", Napi::Number::New(env, addresses[i].index));
    object.Set("family", Napi::Number::New(env, FamilyNumber(addresses[i].family)));
    object.Set("address", Napi::String::New(env, addresses[i].text));
    object.Set("prefixLength", Napi::Number::New(env, addresses[i].prefix));
    list.Set(i, object);
  }
  return list;
}

}  // namespace

void InitRtnetlink(Napi::Env env, Napi::Object exports, Net* net) {
  net->Export(env, exports, "addRule", AddRule);
  net->Export(env, exports, "deleteRule", DeleteRule);
  net->Export(env, exports, "listRules", ListRules);
  net->Export(env, exports, "addLocalRoute", AddLocalRoute);
  net->Export(env, exports, "deleteLocalRoute", DeleteLocalRoute);
  net->Export(env, exports, "listLocalRoutes", ListLocalRoutes);
  net->Export(env, exports, "listAddresses", ListAddresses);
}

}  // namespace aq

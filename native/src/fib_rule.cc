#include "fib_rule.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include <cerrno>
#include <optional>
#include <vector>

#include "net.h"
#include "rtnetlink.h"
#include "util/args.h"
#include "util/error.h"

namespace aq {
namespace {

struct Rule {
  uint8_t family = 0;
  uint32_t mark = 0;
  uint32_t mask = 0;
  uint32_t table = 0;
  uint32_t priority = 0;
};

bool RuleOf(Napi::Env env, Napi::Value value, Rule* rule) {
  auto object = ObjectOf(env, value, "rule");
  return object && FamilyField(env, *object, &rule->family) && U32Field(env, *object, "mark", &rule->mark) &&
         U32Field(env, *object, "mask", &rule->mask) && U32Field(env, *object, "table", &rule->table) &&
         U32Field(env, *object, "priority", &rule->priority);
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

std::string Text(const Rule& rule) {
  return "rule priority " + std::to_string(rule.priority) + " mark " + std::to_string(rule.mark) + " table " +
         std::to_string(rule.table);
}

Napi::Value AddRule(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  NetlinkSocket netlink;
  Rule rule;
  if (!RuleOf(env, info[1], &rule) || !OpenRoute(info, &netlink)) return env.Undefined();
  NetlinkMessage message = RuleMessage(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule);
  int error = netlink.Request(&message);
  if (error != 0) ThrowErrno(env, error, "netlink(RTM_NEWRULE)", Explain(Text(rule), netlink));
  return env.Undefined();
}

Napi::Value DeleteRule(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  NetlinkSocket netlink;
  Rule rule;
  if (!RuleOf(env, info[1], &rule) || !OpenRoute(info, &netlink)) return env.Undefined();
  NetlinkMessage message = RuleMessage(RTM_DELRULE, 0, rule);
  int error = netlink.Request(&message);
  if (error != 0 && error != ENOENT) {
    ThrowErrno(env, error, "netlink(RTM_DELRULE)", Explain(Text(rule), netlink));
    return env.Undefined();
  }
  return Napi::Boolean::New(env, error == 0);
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
  if (!OpenRoute(info, &netlink)) return env.Undefined();
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

}  // namespace

void InitFibRule(Napi::Env env, Napi::Object exports, Net* net) {
  net->Export(env, exports, "addRule", AddRule);
  net->Export(env, exports, "deleteRule", DeleteRule);
  net->Export(env, exports, "listRules", ListRules);
}

}  // namespace aq

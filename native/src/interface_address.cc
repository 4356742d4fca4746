#include "interface_address.h"

#include <linux/rtnetlink.h>

#include <cstring>
#include <optional>
#include <unordered_map>
#include <vector>

#include "address.h"
#include "net.h"
#include "rtnetlink.h"
#include "util/error.h"

namespace aq {
namespace {

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
  if (!OpenRoute(info, &netlink)) return env.Undefined();
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

void InitInterfaceAddress(Napi::Env env, Napi::Object exports, Net* net) {
  net->Export(env, exports, "listAddresses", ListAddresses);
}

}  // namespace aq

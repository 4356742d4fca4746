// What the parts that speak rtnetlink(7) share: opening, arguments, dumps, messages.
#pragma once

#include <napi.h>
#include <sys/socket.h>

#include <cstdint>
#include <functional>
#include <string>

#include "netlink.h"

namespace aq {

inline constexpr uint32_t kLoopback = 1;  // its index in every namespace

inline size_t AddressBytes(int family) { return family == AF_INET ? 4 : 16; }
inline int FamilyNumber(int family) { return family == AF_INET ? 4 : 6; }

// The namespace is the first argument. False with an exception pending.
bool OpenRoute(const Napi::CallbackInfo& info, NetlinkSocket* netlink);

// `family` of a Rule or LocalRoute as AF_INET or AF_INET6. False with an exception pending, as below.
bool FamilyField(Napi::Env env, Napi::Object object, uint8_t* family);
bool U32Field(Napi::Env env, Napi::Object object, const char* name, uint32_t* value);

// A table that changes under a dump makes it worthless; it is short, so it is taken again after `restart`.
int StableDump(NetlinkSocket* netlink, NetlinkMessage message, const std::function<void()>& restart,
               const std::function<void(const nlmsghdr&)>& visit);

// `what` with the kernel's own words.
std::string Explain(const std::string& what, const NetlinkSocket& netlink);

}  // namespace aq

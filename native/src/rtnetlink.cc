#include "rtnetlink.h"

#include <cerrno>

#include "net.h"
#include "util/args.h"
#include "util/error.h"

namespace aq {
namespace {

constexpr int kDumpAttempts = 5;

}  // namespace

bool OpenRoute(const Napi::CallbackInfo& info, NetlinkSocket* netlink) {
  auto netns = FdOf(info.Env(), info[0], "netns");
  if (!netns) return false;
  int error = netlink->Open(Net::Of(info), *netns, NETLINK_ROUTE);
  if (error != 0) ThrowErrno(info.Env(), error, "socket(NETLINK_ROUTE)");
  return error == 0;
}

bool FamilyField(Napi::Env env, Napi::Object object, uint8_t* family) {
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

int StableDump(NetlinkSocket* netlink, NetlinkMessage message, const std::function<void()>& restart,
               const std::function<void(const nlmsghdr&)>& visit) {
  int error = EINTR;
  for (int attempt = 0; attempt < kDumpAttempts && error == EINTR; attempt++) {
    restart();
    error = netlink->Dump(&message, visit);
  }
  return error;
}

std::string Explain(const std::string& what, const NetlinkSocket& netlink) {
  return netlink.detail().empty() ? what : what + " (" + netlink.detail() + ")";
}

}  // namespace aq

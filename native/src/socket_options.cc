#include "socket_options.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "address.h"
#include "net.h"
#include "util/args.h"
#include "util/error.h"

namespace aq {
namespace {

Napi::Value CloseSocket(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto fd = FdOf(env, info[0], "fd");
  if (!fd) return env.Undefined();
  auto reset = BooleanOf(env, info[1], "reset");
  if (!reset) return env.Undefined();
  if (*reset) {
    linger now{1, 0};
    if (setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) != 0) {
      return ThrowErrno(env, errno, "setsockopt(SO_LINGER)"), env.Undefined();
    }
  }
  if (close(*fd) != 0 && errno != EINTR) ThrowErrno(env, errno, "close");
  return env.Undefined();
}

std::string Detail(int level, int name) { return "level " + std::to_string(level) + " option " + std::to_string(name); }

Napi::Value GetSocketOption(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto fd = FdOf(env, info[0], "fd");
  if (!fd) return env.Undefined();
  auto level = IntegerOf(env, info[1], "level", 0, INT32_MAX);
  if (!level) return env.Undefined();
  auto name = IntegerOf(env, info[2], "name", 0, INT32_MAX);
  if (!name) return env.Undefined();
  int value = 0;
  socklen_t size = sizeof(value);
  if (getsockopt(*fd, static_cast<int>(*level), static_cast<int>(*name), &value, &size) != 0) {
    return ThrowErrno(env, errno, "getsockopt", Detail(static_cast<int>(*level), static_cast<int>(*name))), env.Undefined();
  }
  return Napi::Number::New(env, value);
}

Napi::Value SetSocketOption(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto fd = FdOf(env, info[0], "fd");
  if (!fd) return env.Undefined();
  auto level = IntegerOf(env, info[1], "level", 0, INT32_MAX);
  if (!level) return env.Undefined();
  auto name = IntegerOf(env, info[2], "name", 0, INT32_MAX);
  if (!name) return env.Undefined();
  auto value = IntegerOf(env, info[3], "value", INT32_MIN, UINT32_MAX);
  if (!value) return env.Undefined();
  auto bits = static_cast<uint32_t>(*value);
  if (setsockopt(*fd, static_cast<int>(*level), static_cast<int>(*name), &bits, sizeof(bits)) != 0) {
    ThrowErrno(env, errno, "setsockopt", Detail(static_cast<int>(*level), static_cast<int>(*name)));
  }
  return env.Undefined();
}

Napi::Value Name(const Napi::CallbackInfo& info, int (*function)(int, sockaddr*, socklen_t*), const char* syscall) {
  Napi::Env env = info.Env();
  auto fd = FdOf(env, info[0], "fd");
  if (!fd) return env.Undefined();
  sockaddr_storage any{};
  socklen_t size = sizeof(any);
  auto* plain = reinterpret_cast<sockaddr*>(&any);
  if (function(*fd, plain, &size) != 0) return ThrowErrno(env, errno, syscall), env.Undefined();
  if (any.ss_family != AF_INET && any.ss_family != AF_INET6) return ThrowErrno(env, EAFNOSUPPORT, syscall), env.Undefined();
  return SocketAddress::From(*plain).EndpointToJs(env);
}

Napi::Value SocketName(const Napi::CallbackInfo& info) { return Name(info, getsockname, "getsockname"); }

Napi::Value PeerName(const Napi::CallbackInfo& info) { return Name(info, getpeername, "getpeername"); }

}  // namespace

void InitSocketOptions(Napi::Env env, Napi::Object exports, Net* net) {
  net->Export(env, exports, "closeSocket", CloseSocket);
  net->Export(env, exports, "getSocketOption", GetSocketOption);
  net->Export(env, exports, "setSocketOption", SetSocketOption);
  net->Export(env, exports, "socketName", SocketName);
  net->Export(env, exports, "peerName", PeerName);
}

}  // namespace aq

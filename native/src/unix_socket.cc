#include "unix_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "net.h"
#include "util/args.h"
#include "util/error.h"
#include "util/fd.h"

namespace aq {
namespace {

constexpr size_t kMaxDescriptors = 253;  // SCM_MAX_FD
constexpr int64_t kMaxMessageBytes = 1 << 20;
constexpr int kBacklog = 16;

int64_t NowMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

// 0, ETIMEDOUT or why poll failed.
int WaitFor(int fd, short events, int64_t deadline_ms) {
  for (;;) {
    pollfd wanted{fd, events, 0};
    int64_t left = deadline_ms - NowMs();
    int ready = poll(&wanted, 1, static_cast<int>(left > 0 ? left : 0));
    if (ready > 0) return (wanted.revents & POLLNVAL) ? EBADF : 0;
    if (ready == 0) return ETIMEDOUT;
    if (errno != EINTR) return errno;
  }
}

bool UnixAddress(Napi::Env env, const std::string& path, sockaddr_un* address) {
  *address = {};
  address->sun_family = AF_UNIX;
  if (path.size() >= sizeof(address->sun_path)) {
    ThrowErrno(env, ENAMETOOLONG, "socket", path);
    return false;
  }
  std::memcpy(address->sun_path, path.data(), path.size());
  return true;
}

std::optional<int64_t> Deadline(Napi::Env env, Napi::Value value) {
  auto timeout = IntegerOf(env, value, "timeoutMs", 0, INT32_MAX);
  if (!timeout) return std::nullopt;
  return NowMs() + *timeout;
}

// SOCK_SEQPACKET keeps message and descriptors together; SOCK_STREAM where the other side listens with that.
Napi::Value ConnectUnix(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto path = PathOf(env, info[0], "path");
  sockaddr_un address;
  if (!path || !UnixAddress(env, *path, &address)) return env.Undefined();
  for (int type : {SOCK_SEQPACKET, SOCK_STREAM}) {
    UniqueFd fd(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    if (!fd) return ThrowErrno(env, errno, "socket"), env.Undefined();
    if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
      return Napi::Number::New(env, fd.release());
    }
    if (type == SOCK_STREAM || errno != EPROTOTYPE) return ThrowErrno(env, errno, "connect", *path), env.Undefined();
  }
  return env.Undefined();
}

Napi::Value ListenUnix(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto path = PathOf(env, info[0], "path");
  sockaddr_un address;
  if (!path || !UnixAddress(env, *path, &address)) return env.Undefined();
  UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd) return ThrowErrno(env, errno, "socket"), env.Undefined();
  // Before bind: the file never exists with a wider mode.
  if (fchmod(fd.get(), 0600) != 0) return ThrowErrno(env, errno, "fchmod", *path), env.Undefined();
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return ThrowErrno(env, errno, "bind", *path), env.Undefined();
  }
  if (listen(fd.get(), kBacklog) != 0) return ThrowErrno(env, errno, "listen", *path), env.Undefined();
  return Napi::Number::New(env, fd.release());
}

Napi::Value AcceptUnix(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto fd = FdOf(env, info[0], "fd");
  if (!fd) return env.Undefined();
  auto deadline = Deadline(env, info[1]);
  if (!deadline) return env.Undefined();
  int error = WaitFor(*fd, POLLIN, *deadline);
  if (error != 0) return ThrowErrno(env, error, "accept4"), env.Undefined();
  UniqueFd accepted(accept4(*fd, nullptr, nullptr, SOCK_CLOEXEC));
  if (!accepted) return ThrowErrno(env, errno, "accept4"), env.Undefined();
  return Napi::Number::New(env, accepted.release());
}

// Descriptors go with the first byte, so a message needs one; a stream socket may take the rest in parts.
Napi::Value SendDescriptors(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto fd = FdOf(env, info[0], "socket");
  if (!fd) return env.Undefined();
  auto data = BytesOf(env, info[1], "data");
  if (!data) return env.Undefined();
  if (!info[2].IsArray()) return ThrowArgument(env, "descriptors must be an array"), env.Undefined();
  auto array = info[2].As<Napi::Array>();
  std::vector<int> descriptors;
  for (uint32_t i = 0; i < array.Length(); i++) {
    auto descriptor = FdOf(env, array.Get(i), "descriptors[i]");
    if (!descriptor) return env.Undefined();
    descriptors.push_back(*descriptor);
  }
  auto deadline = Deadline(env, info[3]);
  if (!deadline) return env.Undefined();
  if (data->empty() || descriptors.size() > kMaxDescriptors) {
    return ThrowErrno(env, EINVAL, "sendmsg", "needs at least 1 byte and at most 253 descriptors"), env.Undefined();
  }

  std::vector<char> control(CMSG_SPACE(descriptors.size() * sizeof(int)));
  size_t sent = 0;
  while (sent < data->size()) {
    iovec part{const_cast<uint8_t*>(data->data()) + sent, data->size() - sent};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (sent == 0 && !descriptors.empty()) {
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
      std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size() * sizeof(int));
    }
    ssize_t length = sendmsg(*fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (length > 0) {
      sent += static_cast<size_t>(length);
      continue;
    }
    int error = errno == EAGAIN ? WaitFor(*fd, POLLOUT, *deadline) : errno;
    if (error != 0 && error != EINTR) return ThrowErrno(env, error, "sendmsg"), env.Undefined();
  }
  return env.Undefined();
}

std::vector<UniqueFd> Received(msghdr* message) {
  std::vector<UniqueFd> descriptors;
  for (cmsghdr* header = CMSG_FIRSTHDR(message); header != nullptr; header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int descriptor;
      std::memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      descriptors.emplace_back(descriptor);
    }
  }
  return descriptors;
}

// One message; null at the end of the stream. What was cut is refused whole, its descriptors closed.
Napi::Value ReceiveDescriptors(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto fd = FdOf(env, info[0], "socket");
  if (!fd) return env.Undefined();
  auto max_bytes = IntegerOf(env, info[1], "maxBytes", 1, kMaxMessageBytes);
  if (!max_bytes) return env.Undefined();
  auto deadline = Deadline(env, info[2]);
  if (!deadline) return env.Undefined();

  std::vector<uint8_t> data(static_cast<size_t>(*max_bytes));
  std::vector<char> control(CMSG_SPACE(kMaxDescriptors * sizeof(int)));
  iovec part{data.data(), data.size()};
  msghdr message{};
  ssize_t length;
  for (;;) {
    message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    length = recvmsg(*fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (length >= 0) break;
    int error = errno == EAGAIN ? WaitFor(*fd, POLLIN, *deadline) : errno;
    if (error != 0 && error != EINTR) return ThrowErrno(env, error, "recvmsg"), env.Undefined();
  }
  std::vector<UniqueFd> descriptors = Received(&message);
  if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) return ThrowErrno(env, EMSGSIZE, "recvmsg"), env.Undefined();
  if (length == 0) return env.Null();
  Napi::Object result = Napi::Object::New(env);
  Napi::Array numbers = Napi::Array::New(env, descriptors.size());
  for (uint32_t i = 0; i < descriptors.size(); i++) numbers.Set(i, Napi::Number::New(env, descriptors[i].release()));
  result.Set("data", CopyBytes(env, data.data(), static_cast<size_t>(length)));
  result.Set("descriptors", numbers);
  return result;
}

}  // namespace

void InitUnixSocket(Napi::Env env, Napi::Object exports, Net* net) {
  net->Export(env, exports, "sendDescriptors", SendDescriptors);
  net->Export(env, exports, "receiveDescriptors", ReceiveDescriptors);
  net->Export(env, exports, "connectUnix", ConnectUnix);
  net->Export(env, exports, "listenUnix", ListenUnix);
  net->Export(env, exports, "acceptUnix", AcceptUnix);
}

}  // namespace aq

#include "netns.h"

#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <linux/magic.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "net.h"
#include "util/args.h"
#include "util/error.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

namespace aq {

NetnsScope::NetnsScope(const Net& net, int netns) : home_(net.home.get()) {
  struct stat target;
  if (fstat(netns, &target) != 0) {
    error_ = errno;
    return;
  }
  if (target.st_ino == net.home_inode && target.st_dev == net.home_device) return;
  if (setns(netns, CLONE_NEWNET) != 0) {
    error_ = errno;
    return;
  }
  moved_ = true;
}

NetnsScope::~NetnsScope() {
  if (moved_ && setns(home_, CLONE_NEWNET) != 0) std::abort();
}

namespace {

constexpr char kThreadNetns[] = "/proc/thread-self/ns/net";

Napi::Value OpenNetns(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto path = PathOf(env, info[0], "path");
  if (!path) return env.Undefined();
  UniqueFd fd(open(path->c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return ThrowErrno(env, errno, "open", *path), env.Undefined();
  struct statfs filesystem;
  if (fstatfs(fd.get(), &filesystem) != 0 || filesystem.f_type != NSFS_MAGIC) {
    return ThrowErrno(env, EINVAL, "open", *path + " (not a namespace)"), env.Undefined();
  }
  return Napi::Number::New(env, fd.release());
}

struct Creation {
  int fd = -1;
  int error = 0;
  const char* syscall = "";
};

bool Failed(Creation* creation, const char* syscall) {
  creation->error = errno;
  creation->syscall = syscall;
  return false;
}

bool CreateHere(Creation* creation) {
  if (unshare(CLONE_NEWNET) != 0) return Failed(creation, "unshare(CLONE_NEWNET)");
  UniqueFd fd(open(kThreadNetns, O_RDONLY | O_CLOEXEC));
  if (!fd) return Failed(creation, "open(/proc/thread-self/ns/net)");
  UniqueFd control(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!control) return Failed(creation, "socket");
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  if (ioctl(control.get(), SIOCSIFFLAGS, &request) != 0) return Failed(creation, "ioctl(SIOCSIFFLAGS)");
  creation->fd = fd.release();
  return true;
}

// In a thread of its own, which ends with its namespace: nothing to switch back.
Napi::Value CreateNetns(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Creation creation;
  pthread_t thread;
  auto run = [](void* argument) -> void* {
    CreateHere(static_cast<Creation*>(argument));
    return nullptr;
  };
  int error = pthread_create(&thread, nullptr, run, &creation);
  if (error != 0) return ThrowErrno(env, error, "pthread_create"), env.Undefined();
  pthread_join(thread, nullptr);
  if (creation.fd < 0) return ThrowErrno(env, creation.error, creation.syscall), env.Undefined();
  return Napi::Number::New(env, creation.fd);
}

Napi::Value NetnsCookie(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto netns = FdOf(env, info[0], "netns");
  if (!netns) return env.Undefined();
  UniqueFd socket_fd;
  {
    NetnsScope scope(Net::Of(info), *netns);
    if (scope.error() != 0) return ThrowErrno(env, scope.error(), "setns"), env.Undefined();
    socket_fd.reset(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  }
  if (!socket_fd) return ThrowErrno(env, errno, "socket"), env.Undefined();
  uint64_t cookie = 0;
  socklen_t size = sizeof(cookie);
  if (getsockopt(socket_fd.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) != 0) {
    return ThrowErrno(env, errno, "getsockopt(SO_NETNS_COOKIE)"), env.Undefined();
  }
  return Napi::BigInt::New(env, cookie);
}

// What bpf_get_current_cgroup_id and bpf_skb_cgroup_id give.
Napi::Value CgroupId(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto path = PathOf(env, info[0], "path");
  if (!path) return env.Undefined();
  struct statfs filesystem;
  if (statfs(path->c_str(), &filesystem) != 0) return ThrowErrno(env, errno, "statfs", *path), env.Undefined();
  if (filesystem.f_type != CGROUP2_SUPER_MAGIC) {
    return ThrowErrno(env, EINVAL, "name_to_handle_at", *path + " (not in a cgroup v2 hierarchy)"), env.Undefined();
  }
  alignas(file_handle) char buffer[sizeof(file_handle) + sizeof(uint64_t)];
  auto* handle = new (buffer) file_handle{};
  handle->handle_bytes = sizeof(uint64_t);
  int mount_id = 0;
  if (name_to_handle_at(AT_FDCWD, path->c_str(), handle, &mount_id, 0) != 0) {
    return ThrowErrno(env, errno, "name_to_handle_at", *path), env.Undefined();
  }
  uint64_t id = 0;
  std::memcpy(&id, buffer + offsetof(file_handle, f_handle), sizeof(id));
  return Napi::BigInt::New(env, id);
}

// A name that leaves /proc/sys would let configuration choose any file.
bool SysctlPath(Napi::Env env, Napi::Value value, std::string* path) {
  auto name = PathOf(env, value, "name");
  if (!name) return false;
  if ((*name)[0] == '/' || ("/" + *name + "/").find("/../") != std::string::npos) {
    ThrowArgument(env, "name must be a path below /proc/sys");
    return false;
  }
  *path = "/proc/sys/" + *name;
  return true;
}

// The namespace is that of the thread that opens the file.
UniqueFd OpenSysctl(const Napi::CallbackInfo& info, int netns, const std::string& path, int flags) {
  int error = 0;
  UniqueFd fd;
  {
    NetnsScope scope(Net::Of(info), netns);
    error = scope.error();
    if (error == 0) {
      fd.reset(open(path.c_str(), flags | O_CLOEXEC));
      if (!fd) error = errno;
    }
  }
  if (!fd) ThrowErrno(info.Env(), error, "open", path);
  return fd;
}

Napi::Value ReadSysctl(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto netns = FdOf(env, info[0], "netns");
  std::string path;
  if (!netns || !SysctlPath(env, info[1], &path)) return env.Undefined();
  UniqueFd fd = OpenSysctl(info, *netns, path, O_RDONLY);
  if (!fd) return env.Undefined();
  char buffer[4096];
  ssize_t length = read(fd.get(), buffer, sizeof(buffer));
  if (length < 0) return ThrowErrno(env, errno, "read", path), env.Undefined();
  if (length > 0 && buffer[length - 1] == '\n') length--;
  return Napi::String::New(env, buffer, static_cast<size_t>(length));
}

Napi::Value WriteSysctl(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto netns = FdOf(env, info[0], "netns");
  std::string path;
  if (!netns || !SysctlPath(env, info[1], &path)) return env.Undefined();
  auto value = StringOf(env, info[2], "value");
  if (!value) return env.Undefined();
  UniqueFd fd = OpenSysctl(info, *netns, path, O_WRONLY);
  if (!fd) return env.Undefined();
  if (write(fd.get(), value->data(), value->size()) < 0) ThrowErrno(env, errno, "write", path + " '" + *value + "'");
  return env.Undefined();
}

}  // namespace

void InitNetns(Napi::Env env, Napi::Object exports, Net* net) {
  net->Export(env, exports, "openNetns", OpenNetns);
  net->Export(env, exports, "createNetns", CreateNetns);
  net->Export(env, exports, "netnsCookie", NetnsCookie);
  net->Export(env, exports, "cgroupId", CgroupId);
  net->Export(env, exports, "readSysctl", ReadSysctl);
  net->Export(env, exports, "writeSysctl", WriteSysctl);
}

}  // namespace aq

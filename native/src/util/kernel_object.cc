#include "util/kernel_object.h"

#include <cerrno>
#include <climits>
#include <string_view>

namespace aq {
namespace {

const char* KindName(ObjectKind kind) {
  switch (kind) {
    case ObjectKind::kMap: return "map";
    case ObjectKind::kProgram: return "prog";
    case ObjectKind::kLink: return "link";
  }
  return "";
}

// The kernel answers an info request for whatever the descriptor is, so a pinned program opened as a map would pass as a
// map with odd sizes. The anonymous inode's name is the one place that tells them apart: bpf-map, bpf-prog, and bpf_link
// when created but bpf-link when opened (kernel/bpf/syscall.c).
bool IsKind(int fd, ObjectKind kind) {
  char target[PATH_MAX];
  std::string self = "/proc/self/fd/" + std::to_string(fd);
  ssize_t length = readlink(self.c_str(), target, sizeof(target));
  std::string_view name(target, length > 0 ? static_cast<size_t>(length) : 0);
  return name.find("bpf") != std::string_view::npos && name.ends_with(KindName(kind));
}

}  // namespace

UniqueFd OpenPinned(Napi::Env env, const std::string& path, ObjectKind kind) {
  UniqueFd fd(bpf_obj_get(path.c_str()));
  if (!fd) {
    ThrowErrno(env, errno, "bpf(BPF_OBJ_GET)", path);
  } else if (!IsKind(fd.get(), kind)) {
    ThrowErrno(env, EINVAL, "bpf(BPF_OBJ_GET)", path + " (not a " + KindName(kind) + ")");
    fd.reset();
  }
  return fd;
}

bool Pin(Napi::Env env, int fd, const std::string& path) {
  if (bpf_obj_pin(fd, path.c_str()) == 0) return true;
  ThrowErrno(env, errno, "bpf(BPF_OBJ_PIN)", path);
  return false;
}

UniqueFd Duplicate(Napi::Env env, int fd) {
  UniqueFd copy = UniqueFd::Duplicate(fd);
  if (!copy) ThrowErrno(env, errno, "fcntl(F_DUPFD_CLOEXEC)");
  return copy;
}

}  // namespace aq

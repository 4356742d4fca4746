// What maps, programs and links have in common: they are descriptors, have an info, and can be pinned.
#pragma once

#include <bpf/bpf.h>
#include <napi.h>

#include <cstddef>
#include <optional>
#include <string>

#include "util/error.h"
#include "util/fd.h"

namespace aq {

enum class ObjectKind { kMap, kProgram, kLink };

// bpf(BPF_OBJ_GET). Fails with EINVAL when something else is pinned there; empty with an exception pending.
UniqueFd OpenPinned(Napi::Env env, const std::string& path, ObjectKind kind);

// bpf(BPF_OBJ_PIN); false with an exception pending.
bool Pin(Napi::Env env, int fd, const std::string& path);

// A second descriptor; empty with an exception pending.
UniqueFd Duplicate(Napi::Env env, int fd);

// bpf(BPF_OBJ_GET_INFO_BY_FD) into one of the bpf_*_info; null with an exception pending.
template <class Info>
std::optional<Info> InfoOf(Napi::Env env, int fd) {
  Info info{};
  __u32 length = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd, &info, &length) == 0) return info;
  ThrowErrno(env, errno, "bpf(BPF_OBJ_GET_INFO_BY_FD)");
  return std::nullopt;
}

// Kernel names are fixed arrays that need not end in NUL.
template <size_t Size>
std::string NameOf(const char (&name)[Size]) {
  return std::string(name, strnlen(name, Size));
}

}  // namespace aq

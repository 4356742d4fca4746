#include "cgroup.h"

#include <bpf/bpf.h>
#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "link.h"
#include "program.h"
#include "util/args.h"
#include "util/kernel_object.h"

namespace aq {
namespace {

std::optional<bpf_attach_type> AttachTypeOf(Napi::Env env, Napi::Value value) {
  std::string attach = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
  if (attach == "connect4") return BPF_CGROUP_INET4_CONNECT;
  if (attach == "connect6") return BPF_CGROUP_INET6_CONNECT;
  if (attach == "ingress") return BPF_CGROUP_INET_INGRESS;
  if (attach == "egress") return BPF_CGROUP_INET_EGRESS;
  if (attach == "sock_ops") return BPF_CGROUP_SOCK_OPS;
  ThrowArgument(env, "attach must be 'connect4', 'connect6', 'ingress', 'egress' or 'sock_ops'");
  return std::nullopt;
}

UniqueFd OpenCgroup(Napi::Env env, const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) ThrowErrno(env, errno, "open", path);
  return fd;
}

Napi::Value Attach(Napi::Env env, int program, int target, bpf_attach_type type, const std::string& where) {
  UniqueFd link(bpf_link_create(program, target, type, nullptr));
  if (link) return Link::Wrap(env, std::move(link), "");
  ThrowErrno(env, errno, "bpf(BPF_LINK_CREATE)", where);
  return {};
}

Napi::Value AttachCgroup(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::optional<std::string> path = PathOf(env, info[0], "cgroupPath");
  if (!path) return {};
  Program* program = Program::From(env, info[1], "program");
  if (program == nullptr) return {};
  std::optional<bpf_attach_type> type = AttachTypeOf(env, info[2]);
  if (!type) return {};
  UniqueFd cgroup = OpenCgroup(env, *path);
  if (!cgroup) return {};
  return Attach(env, program->fd(), cgroup.get(), *type, *path);
}

Napi::Value AttachNetns(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::optional<int> netns = FdOf(env, info[0], "netns");
  if (!netns) return {};
  Program* program = Program::From(env, info[1], "program");
  if (program == nullptr) return {};
  return Attach(env, program->fd(), *netns, BPF_SK_LOOKUP, "sk_lookup");
}

// A program that went between the query and here is left out.
bool AppendProgram(Napi::Env env, __u32 id, Napi::Array programs) {
  UniqueFd fd(bpf_prog_get_fd_by_id(id));
  if (!fd) {
    if (errno == ENOENT) return true;
    ThrowErrno(env, errno, "bpf(BPF_PROG_GET_FD_BY_ID)", std::to_string(id));
    return false;
  }
  std::optional<bpf_prog_info> found = InfoOf<bpf_prog_info>(env, fd.get());
  if (!found) return false;
  programs.Set(programs.Length(), Program::ToObject(env, *found));
  return true;
}

Napi::Value QueryCgroup(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::optional<std::string> path = PathOf(env, info[0], "cgroupPath");
  if (!path) return {};
  std::optional<bpf_attach_type> type = AttachTypeOf(env, info[1]);
  if (!type) return {};
  UniqueFd cgroup = OpenCgroup(env, *path);
  if (!cgroup) return {};

  std::vector<__u32> ids(64);
  __u32 count = static_cast<__u32>(ids.size());
  // On ENOSPC the kernel says how many there are; more may come meanwhile.
  while (bpf_prog_query(cgroup.get(), *type, BPF_F_QUERY_EFFECTIVE, nullptr, ids.data(), &count) != 0) {
    if (errno != ENOSPC) {
      ThrowErrno(env, errno, "bpf(BPF_PROG_QUERY)", *path);
      return {};
    }
    ids.resize(ids.size() * 2);
    count = static_cast<__u32>(ids.size());
  }
  Napi::Array programs = Napi::Array::New(env);
  for (__u32 i = 0; i < count; i++) {
    if (!AppendProgram(env, ids[i], programs)) return {};
  }
  return programs;
}

// The file handle of a cgroup v2 directory is the number that bpf_get_current_cgroup_id and bpf_skb_cgroup_id give.
Napi::Value CgroupId(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::optional<std::string> path = PathOf(env, info[0], "path");
  if (!path) return {};
  alignas(file_handle) unsigned char storage[sizeof(file_handle) + sizeof(uint64_t)] = {};
  auto* handle = reinterpret_cast<file_handle*>(storage);
  handle->handle_bytes = sizeof(uint64_t);
  int mount = 0;
  if (name_to_handle_at(AT_FDCWD, path->c_str(), handle, &mount, 0) != 0) {
    ThrowErrno(env, errno, "name_to_handle_at", *path);
    return {};
  }
  uint64_t id = 0;
  std::memcpy(&id, storage + sizeof(file_handle), sizeof(id));
  return Napi::BigInt::New(env, id);
}

}  // namespace

void InitCgroup(Napi::Env env, Napi::Object exports) {
  exports.Set("attachCgroup", Napi::Function::New<AttachCgroup>(env, "attachCgroup"));
  exports.Set("attachNetns", Napi::Function::New<AttachNetns>(env, "attachNetns"));
  exports.Set("queryCgroup", Napi::Function::New<QueryCgroup>(env, "queryCgroup"));
  exports.Set("cgroupId", Napi::Function::New<CgroupId>(env, "cgroupId"));
}

}  // namespace aq

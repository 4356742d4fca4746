#include "features.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <climits>
#include <string_view>

#include "util/args.h"
#include "util/fd.h"
#include "util/libbpf_log.h"

namespace aq {
namespace {

// Types that the kernel refuses to load without an attach type that belongs to them.
bpf_attach_type AttachTypeFor(bpf_prog_type type) {
  switch (type) {
    case BPF_PROG_TYPE_CGROUP_SOCK_ADDR: return BPF_CGROUP_INET4_CONNECT;
    case BPF_PROG_TYPE_CGROUP_SOCKOPT: return BPF_CGROUP_GETSOCKOPT;
    case BPF_PROG_TYPE_SK_LOOKUP: return BPF_SK_LOOKUP;
    default: return BPF_CGROUP_INET_INGRESS;
  }
}

// 0 or the errno of bpf(BPF_PROG_LOAD). With an empty `log` the verifier is not asked for one.
int TryLoad(bpf_prog_type type, std::span<const bpf_insn> instructions, std::span<char> log) {
  bpf_prog_load_opts options{};
  options.sz = sizeof(options);
  options.expected_attach_type = AttachTypeFor(type);
  options.log_buf = log.data();
  options.log_size = static_cast<__u32>(log.size());
  options.log_level = log.empty() ? 0 : 1;
  UniqueFd fd(bpf_prog_load(type, nullptr, "GPL", instructions.data(), instructions.size(), &options));
  return fd ? 0 : errno;
}

constexpr bpf_insn kReturnZero = {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0};
constexpr bpf_insn kExit = {BPF_JMP | BPF_EXIT, 0, 0, 0, 0};

Napi::Value Answer(Napi::Env env, int number, const std::string& syscall, const std::string& what) {
  if (number == 0) return Napi::Boolean::New(env, true);
  return MakeErrno(env, number, syscall, what).Value();
}

Napi::Value ProbeProgramType(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::optional<int64_t> type = IntegerOf(env, info[0], "type", 0, INT_MAX);
  if (!type) return {};
  LibbpfLog log;
  auto program_type = static_cast<bpf_prog_type>(*type);
  // libbpf knows the detours that some types need, but not the kernel's errno.
  if (libbpf_probe_bpf_prog_type(program_type, nullptr) == 1) return Napi::Boolean::New(env, true);
  const bpf_insn program[] = {kReturnZero, kExit};
  return Answer(env, TryLoad(program_type, program, {}), "bpf(BPF_PROG_LOAD)", "type " + std::to_string(*type));
}

Napi::Value ProbeMapType(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::optional<int64_t> type = IntegerOf(env, info[0], "type", 0, INT_MAX);
  if (!type) return {};
  LibbpfLog log;
  auto map_type = static_cast<bpf_map_type>(*type);
  if (libbpf_probe_bpf_map_type(map_type, nullptr) == 1) return Napi::Boolean::New(env, true);
  UniqueFd fd(bpf_map_create(map_type, nullptr, 4, 4, 1, nullptr));
  return Answer(env, fd ? 0 : errno, "bpf(BPF_MAP_CREATE)", "type " + std::to_string(*type));
}

// Not libbpf_probe_bpf_helper: the verifier's words for "not this helper" changed in 6.11, and libbpf before 1.5 takes the
// new ones for a yes.
bool SaysNo(std::string_view log) {
  for (std::string_view words : {"invalid func ", "unknown func ", "program of this type cannot use helper "}) {
    if (log.find(words) != std::string_view::npos) return true;
  }
  return false;
}

Napi::Value ProbeHelper(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::optional<int64_t> type = IntegerOf(env, info[0], "programType", 0, INT_MAX);
  if (!type) return {};
  std::optional<int64_t> helper = IntegerOf(env, info[1], "helper", 0, INT_MAX);
  if (!helper) return {};
  const bpf_insn program[] = {{BPF_JMP | BPF_CALL, 0, 0, 0, static_cast<__s32>(*helper)}, kExit};
  char log[4096] = {};
  int number = TryLoad(static_cast<bpf_prog_type>(*type), program, log);
  // A helper that exists complains of its missing arguments instead; without any log the verifier was not reached.
  bool supported = number == 0 || (log[0] != '\0' && !SaysNo(log));
  return Answer(env, supported ? 0 : number, "bpf(BPF_PROG_LOAD)",
                "type " + std::to_string(*type) + " helper " + std::to_string(*helper));
}

}  // namespace

void InitFeatures(Napi::Env env, Napi::Object exports) {
  exports.Set("probeProgramType", Napi::Function::New<ProbeProgramType>(env, "probeProgramType"));
  exports.Set("probeMapType", Napi::Function::New<ProbeMapType>(env, "probeMapType"));
  exports.Set("probeHelper", Napi::Function::New<ProbeHelper>(env, "probeHelper"));
}

}  // namespace aq

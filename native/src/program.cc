#include "program.h"

#include <bpf/bpf.h>

#include <cerrno>
#include <vector>

#include "util/args.h"
#include "util/kernel_object.h"

namespace aq {
namespace {

// A program may make the packet longer; the kernel fails with ENOSPC where the result does not fit.
constexpr size_t kTestRunHeadroom = 512;
// The kernel runs the repetitions in one system call, with the event loop waiting.
constexpr int64_t kMaxRepeat = 1'000'000;

}  // namespace

void Program::Init(Napi::Env env, Napi::Object exports) {
  Define(env, {
                  InstanceAccessor<&Program::GetInfo>("info"),
                  InstanceMethod<&Program::PinAt>("pin"),
                  InstanceMethod<&Program::TestRun>("testRun"),
              });
  exports.Set("openPinnedProgram", Napi::Function::New<OpenPinnedProgram>(env, "openPinnedProgram"));
}

Napi::Value Program::Wrap(Napi::Env env, UniqueFd fd) {
  Program* program = Create(env);
  if (program == nullptr) return {};
  program->fd_ = std::move(fd);
  program->Opened();
  return program->Value();
}

Napi::Object Program::ToObject(Napi::Env env, const bpf_prog_info& info) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string tag;
  for (unsigned char byte : info.tag) {
    tag += kDigits[byte >> 4];
    tag += kDigits[byte & 15];
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("id", Napi::Number::New(env, info.id));
  result.Set("name", Napi::String::New(env, NameOf(info.name)));
  result.Set("type", Napi::Number::New(env, info.type));
  result.Set("tag", Napi::String::New(env, tag));
  return result;
}

Napi::Value Program::OpenPinnedProgram(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::optional<std::string> path = PathOf(env, info[0], "path");
  if (!path) return {};
  UniqueFd fd = OpenPinned(env, *path, ObjectKind::kProgram);
  if (!fd) return {};
  return Wrap(env, std::move(fd));
}

Napi::Value Program::GetInfo(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!Usable(info)) return {};
  std::optional<bpf_prog_info> found = InfoOf<bpf_prog_info>(env, fd_.get());
  if (!found) return {};
  return ToObject(env, *found);
}

void Program::PinAt(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!Usable(info)) return;
  std::optional<std::string> path = PathOf(env, info[0], "path");
  if (path) Pin(env, fd_.get(), *path);
}

Napi::Value Program::TestRun(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!Usable(info)) return {};
  std::optional<std::span<const uint8_t>> data = BytesOf(env, info[0], "data");
  if (!data) return {};
  std::optional<std::span<const uint8_t>> context = BytesOf(env, info[1], "ctx");
  if (!context) return {};
  std::optional<int64_t> repeat = IntegerOf(env, info[2], "repeat", 0, kMaxRepeat);
  if (!repeat) return {};

  std::vector<uint8_t> output(data->empty() ? 0 : data->size() + kTestRunHeadroom);
  bpf_test_run_opts options{};
  options.sz = sizeof(options);
  options.repeat = static_cast<int>(*repeat);
  // Types that take no data (sk_lookup) refuse any pointer, so nothing is passed for an empty array.
  if (!data->empty()) {
    options.data_in = data->data();
    options.data_size_in = static_cast<__u32>(data->size());
    options.data_out = output.data();
    options.data_size_out = static_cast<__u32>(output.size());
  }
  if (!context->empty()) {
    options.ctx_in = context->data();
    options.ctx_size_in = static_cast<__u32>(context->size());
  }
  if (bpf_prog_test_run_opts(fd_.get(), &options) != 0) {
    ThrowErrno(env, errno, "bpf(BPF_PROG_TEST_RUN)");
    return {};
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("returned", Napi::Number::New(env, options.retval));
  result.Set("data", CopyBytes(env, output.data(), data->empty() ? 0 : options.data_size_out));
  result.Set("durationNs", Napi::Number::New(env, options.duration));
  return result;
}

}  // namespace aq

// BpfProgram of native/index.ts.
#pragma once

#include <linux/bpf.h>
#include <napi.h>

#include "util/fd.h"
#include "util/handle_wrap.h"

namespace aq {

class Program : public HandleWrap<Program> {
 public:
  static constexpr const char* kName = "BpfProgram";
  static constexpr napi_type_tag kTag = {0x6171756966657201, 0x6270665f70726f67};

  explicit Program(const Napi::CallbackInfo& info) : HandleWrap(info) {}
  ~Program() override { CloseNow(); }

  static void Init(Napi::Env env, Napi::Object exports);
  // Takes the descriptor of a program; empty with an exception pending.
  static Napi::Value Wrap(Napi::Env env, UniqueFd fd);
  // ProgramInfo of native/index.ts.
  static Napi::Object ToObject(Napi::Env env, const bpf_prog_info& info);

  void Release() { fd_.reset(); }
  int fd() const { return fd_.get(); }

 private:
  static Napi::Value OpenPinnedProgram(const Napi::CallbackInfo& info);
  Napi::Value GetInfo(const Napi::CallbackInfo& info);
  void PinAt(const Napi::CallbackInfo& info);
  Napi::Value TestRun(const Napi::CallbackInfo& info);

  UniqueFd fd_;
};

}  // namespace aq

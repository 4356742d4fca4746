// BpfCollection of native/index.ts.
#pragma once

#include <bpf/libbpf.h>
#include <napi.h>

#include <memory>
#include <string>

#include "util/handle_wrap.h"

namespace aq {

struct ObjectCloser {
  void operator()(bpf_object* object) const { bpf_object__close(object); }
};
using ObjectPointer = std::unique_ptr<bpf_object, ObjectCloser>;

class Collection : public HandleWrap<Collection> {
 public:
  static constexpr const char* kName = "BpfCollection";
  static constexpr napi_type_tag kTag = {0x6171756966657201, 0x6270665f636f6c6c};

  explicit Collection(const Napi::CallbackInfo& info) : HandleWrap(info) {}
  ~Collection() override { CloseNow(); }

  static void Init(Napi::Env env, Napi::Object exports);

  // Maps and programs that were handed out live on: they have descriptors of their own.
  void Release() { object_.reset(); }

 private:
  static Napi::Value LoadCollection(const Napi::CallbackInfo& info);
  Napi::Value GetMap(const Napi::CallbackInfo& info);
  Napi::Value GetProgram(const Napi::CallbackInfo& info);
  Napi::Value GetMapNames(const Napi::CallbackInfo& info);
  Napi::Value GetProgramNames(const Napi::CallbackInfo& info);
  Napi::Value StructLayout(const Napi::CallbackInfo& info);
  Napi::Value EnumValues(const Napi::CallbackInfo& info);

  std::string name_;
  ObjectPointer object_;
};

}  // namespace aq

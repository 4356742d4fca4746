// BpfLink of native/index.ts.
#pragma once

#include <napi.h>

#include <string>

#include "util/fd.h"
#include "util/handle_wrap.h"

namespace aq {

class Link : public HandleWrap<Link> {
 public:
  static constexpr const char* kName = "BpfLink";
  static constexpr napi_type_tag kTag = {0x6171756966657201, 0x6270665f6c696e6b};

  explicit Link(const Napi::CallbackInfo& info) : HandleWrap(info) {}
  ~Link() override { CloseNow(); }

  static void Init(Napi::Env env, Napi::Object exports);
  // Takes the descriptor of a link, and where it is pinned (or ""); empty with an exception pending.
  static Napi::Value Wrap(Napi::Env env, UniqueFd fd, std::string pinned_at);

  void Release() { fd_.reset(); }

 private:
  static Napi::Value OpenPinnedLink(const Napi::CallbackInfo& info);
  Napi::Value GetInfo(const Napi::CallbackInfo& info);
  void Update(const Napi::CallbackInfo& info);
  void PinAt(const Napi::CallbackInfo& info);
  void Unpin(const Napi::CallbackInfo& info);
  void Detach(const Napi::CallbackInfo& info);

  UniqueFd fd_;
  std::string pinned_at_;
};

}  // namespace aq

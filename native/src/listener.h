// Listening sockets on the loop: `Listener` of native/index.ts.
#pragma once

#include <napi.h>

#include "reactor.h"
#include "util/fd.h"
#include "util/handle_wrap.h"

namespace aq {

struct Net;

class Listener final : public HandleWrap<Listener>, public Source {
 public:
  static constexpr const char* kName = "Listener";
  static constexpr napi_type_tag kTag = {0x6e1d3a7c52f84b09, 0xa2c4719e0d5b8f36};

  explicit Listener(const Napi::CallbackInfo& info) : HandleWrap(info) {}
  ~Listener() override { CloseNow(); }

  static Napi::Value Listen(const Napi::CallbackInfo& info);
  void Release();

  Napi::Value Fd(const Napi::CallbackInfo& info);
  Napi::Value Port(const Napi::CallbackInfo& info);

  void OnEvents(uint32_t events, unsigned side) override;
  uint64_t OnDeadline(uint64_t now_ms) override;
  void OnShutdown() override { fd_.reset(); }

 private:
  void Deliver(int fd, const class SocketAddress& remote);
  void Pause(int error);

  Net* net_ = nullptr;
  UniqueFd fd_;
  uint16_t port_ = 0;
  int batch_ = 0;
  Napi::FunctionReference on_accept_;
  Napi::FunctionReference on_error_;
};

void InitListener(Napi::Env env, Napi::Object raw, Net* net);

}  // namespace aq

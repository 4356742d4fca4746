// Connects under way: `Connector` of native/index.ts.
#pragma once

#include <napi.h>

#include "address.h"
#include "reactor.h"
#include "util/fd.h"

namespace aq {

struct Net;

class Connector final : public Napi::ObjectWrap<Connector>, public Source {
 public:
  explicit Connector(const Napi::CallbackInfo& info) : ObjectWrap(info) {}
  ~Connector() override;

  static Napi::Value Connect(const Napi::CallbackInfo& info);
  void Cancel(const Napi::CallbackInfo& info);

  void OnEvents(uint32_t events, unsigned side) override;
  void OnTurn() override;
  uint64_t OnDeadline(uint64_t now_ms) override;
  void OnShutdown() override { fd_.reset(); }

 private:
  struct Wanted;
  void Start(Wanted wanted);
  int Open(const Wanted& wanted, const char** syscall);
  void Finish(int error, const char* syscall);
  void Forget();

  Net* net_ = nullptr;
  UniqueFd fd_;
  SocketAddress to_;
  // Known at once, told on the next turn: a callback never runs inside `connect`.
  int early_error_ = 0;
  const char* early_syscall_ = "";
  Napi::FunctionReference done_;
};

void InitConnector(Napi::Env env, Napi::Object raw, Net* net);

}  // namespace aq

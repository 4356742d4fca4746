// The byte relay: `Relay` of native/index.ts. It is the data plane of every connection without L7 policy.
//
// Invariants: a byte read is written or held before the next read, so none is lost or passes another; a side whose peer
// does not take its bytes is not read; an idle relay owns nothing but two descriptors and this object.
#pragma once

#include <napi.h>

#include <cstdint>
#include <cstdlib>
#include <memory>

#include "reactor.h"

namespace aq {

struct Net;

class Relay final : public Napi::ObjectWrap<Relay>, public Source {
 public:
  explicit Relay(const Napi::CallbackInfo& info) : ObjectWrap(info) {}
  ~Relay() override;

  static Napi::Value Start(const Napi::CallbackInfo& info);
  Napi::Value BytesSent(const Napi::CallbackInfo& info);
  Napi::Value BytesReceived(const Napi::CallbackInfo& info);
  void Cut(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);
  Napi::Value Release(const Napi::CallbackInfo& info);

  void OnEvents(uint32_t events, unsigned side) override;
  void OnTurn() override;
  uint64_t OnDeadline(uint64_t now_ms) override;
  void OnShutdown() override;

 private:
  static constexpr unsigned kDownstream = 0;
  static constexpr unsigned kUpstream = 1;
  static constexpr unsigned kNeither = 2;
  enum class Cause : uint8_t { kEof, kDownstream, kUpstream, kIdle, kClosed };
  enum class Flow : uint8_t { kDry, kBlocked, kYielded, kOver };
  struct Free {
    void operator()(uint8_t* bytes) const { std::free(bytes); }
  };

  // A side as a source of bytes, with what was read from it and not yet written to the other.
  struct Side {
    int fd = -1;
    bool readable = false;   // an edge was seen and not yet read up
    bool read_to_end = false;  // FIN, RST or urgent data is in the queue: a short read does not mean that it is empty
    bool eof = false;
    bool shut = false;  // our FIN went to this side
    uint32_t held_start = 0;
    uint32_t held_end = 0;
    std::unique_ptr<uint8_t, Free> held;
    uint64_t moved = 0;  // bytes from this side that the other has taken
  };

  Flow Pump(unsigned from, size_t* budget);
  Flow WriteHeld(unsigned from);
  Flow Forward(unsigned from, const uint8_t* bytes, size_t length);
  void Advance();
  void Fail(unsigned side, int error);
  void Drain();
  void End(Cause cause, int error);
  void CloseSides(bool reset);
  void FinishSides();
  void Deliver();
  bool Ended() const { return cut_ || sides_[0].fd < 0; }

  Net* net_ = nullptr;
  Side sides_[2];
  uint64_t last_moved_ms_ = 0;
  uint64_t give_up_ms_ = 0;  // after a failure: when the bytes that were received before it are given up
  uint32_t buffer_bytes_ = 0;
  uint32_t idle_timeout_ms_ = 0;
  int error_ = 0;
  uint8_t failed_side_ = kNeither;
  bool cut_ = false;  // downstream has its RST; both descriptors are still ours
  Cause cause_ = Cause::kEof;
  Napi::FunctionReference on_end_;
};

void InitRelay(Napi::Env env, Napi::Object raw, Net* net);

}  // namespace aq

// RingBuffer of native/index.ts.
#pragma once

#include <bpf/libbpf.h>
#include <napi.h>
#include <uv.h>

#include <memory>

#include "util/fd.h"
#include "util/handle_wrap.h"

namespace aq {

class RingBuffer : public HandleWrap<RingBuffer> {
 public:
  static constexpr const char* kName = "RingBuffer";
  static constexpr napi_type_tag kTag = {0x6171756966657201, 0x6270665f72696e67};

  explicit RingBuffer(const Napi::CallbackInfo& info) : HandleWrap(info) {}
  ~RingBuffer() override { CloseNow(); }

  static void Init(Napi::Env env, Napi::Object exports);

  void Release();

 private:
  struct RingCloser {
    void operator()(ring_buffer* ring) const { ring_buffer__free(ring); }
  };

  static Napi::Value OpenRingBuffer(const Napi::CallbackInfo& info);
  // Empty with an exception pending.
  bool Watch(Napi::Env env);
  static void OnReadable(uv_poll_t* poll, int status, int events);
  static int OnRecord(void* context, void* data, size_t size);
  void Consume();
  int Deliver(const void* data, size_t size);

  UniqueFd map_;
  // Freed before map_; not while it is being read (consuming_).
  std::unique_ptr<ring_buffer, RingCloser> ring_;
  // Belongs to the loop once it is initialised: freed in the close callback.
  uv_poll_t* poll_ = nullptr;
  Napi::FunctionReference on_record_;
  int budget_ = 0;
  bool consuming_ = false;
};

}  // namespace aq

#include "ring_buffer.h"

#include <cerrno>

#include "map.h"
#include "util/args.h"
#include "util/callback.h"
#include "util/kernel_object.h"

namespace aq {
namespace {

// Records for each turn of the loop: a flood of refusals in one pod must not hold up everybody's connections.
constexpr int kRecordsPerTurn = 256;
// From a record callback, makes libbpf stop after that record; the record counts as read.
constexpr int kStop = -ECANCELED;

}  // namespace

void RingBuffer::Init(Napi::Env env, Napi::Object exports) {
  Define(env, {});
  exports.Set("openRingBuffer", Napi::Function::New<OpenRingBuffer>(env, "openRingBuffer"));
}

Napi::Value RingBuffer::OpenRingBuffer(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Map* map = Map::From(env, info[0], "map");
  if (map == nullptr) return {};
  std::optional<Napi::Function> on_record = FunctionOf(env, info[1], "onRecord");
  if (!on_record) return {};
  if (map->info().type != BPF_MAP_TYPE_RINGBUF) {
    ThrowErrno(env, EINVAL, "ring_buffer__new", NameOf(map->info().name) + " (not a ring buffer)");
    return {};
  }
  RingBuffer* buffer = Create(env);
  if (buffer == nullptr) return {};
  buffer->map_ = Duplicate(env, map->fd());
  if (!buffer->map_) return {};
  buffer->ring_.reset(ring_buffer__new(buffer->map_.get(), OnRecord, buffer, nullptr));
  if (!buffer->ring_) {
    ThrowErrno(env, errno, "ring_buffer__new", NameOf(map->info().name));
    return {};
  }
  if (!buffer->Watch(env)) return {};
  buffer->on_record_ = Napi::Persistent(*on_record);
  buffer->Opened();
  // Like a listening server: works until closed, whether or not the caller kept the handle.
  buffer->Ref();
  return buffer->Value();
}

bool RingBuffer::Watch(Napi::Env env) {
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env, &loop);
  auto* poll = new uv_poll_t();
  int failed = uv_poll_init(loop, poll, ring_buffer__epoll_fd(ring_.get()));
  if (failed != 0) {
    delete poll;
    ThrowErrno(env, -failed, "uv_poll_init");
    return false;
  }
  poll_ = poll;
  poll->data = this;
  uv_unref(reinterpret_cast<uv_handle_t*>(poll));
  uv_poll_start(poll, UV_READABLE, OnReadable);
  return true;
}

void RingBuffer::Release() {
  // The loop must let go of the epoll descriptor before ring_buffer__free closes it.
  uv_close(reinterpret_cast<uv_handle_t*>(poll_), [](uv_handle_t* handle) { delete reinterpret_cast<uv_poll_t*>(handle); });
  poll_ = nullptr;
  on_record_.Reset();
  if (consuming_) return;
  ring_.reset();
  map_.reset();
  Unref();
}

void RingBuffer::OnReadable(uv_poll_t* poll, int, int) { static_cast<RingBuffer*>(poll->data)->Consume(); }

void RingBuffer::Consume() {
  Napi::Env env = Env();
  Napi::HandleScope scope(env);
  budget_ = kRecordsPerTurn;
  consuming_ = true;
  // The descriptor is level-triggered: what is left over wakes the loop again.
  ring_buffer__consume(ring_.get());
  consuming_ = false;
  if (IsOpen()) return;
  ring_.reset();
  map_.reset();
  Unref();
}

int RingBuffer::OnRecord(void* context, void* data, size_t size) {
  return static_cast<RingBuffer*>(context)->Deliver(data, size);
}

int RingBuffer::Deliver(const void* data, size_t size) {
  Napi::Env env = Env();
  Napi::HandleScope scope(env);
  on_record_.MakeCallback(env.Global(), {CopyBytes(env, data, size)});
  ReportPending(env);
  return IsOpen() && --budget_ > 0 ? 0 : kStop;
}

}  // namespace aq

#include "reactor.h"

#include <cerrno>

#include "util/callback.h"
#include "util/error.h"

namespace aq {
namespace {

constexpr int kEventsPerWait = 256;
// A busy loop of sockets must let timers and JavaScript have their turn.
constexpr int kWaitsPerWakeUp = 4;

}  // namespace

// One visit of the loop. JavaScript is entered at most once: microtasks and ticks run when the round ends.
class Reactor::Round {
 public:
  explicit Round(Reactor* reactor) : reactor_(reactor) { reactor_->in_round_ = true; }
  ~Round() {
    reactor_->in_round_ = false;
    if (reactor_->callback_scope_ != nullptr) {
      napi_close_callback_scope(reactor_->env_, reactor_->callback_scope_);
      reactor_->callback_scope_ = nullptr;
    }
    if (reactor_->handle_scope_ != nullptr) {
      napi_close_handle_scope(reactor_->env_, reactor_->handle_scope_);
      reactor_->handle_scope_ = nullptr;
    }
  }

 private:
  Reactor* reactor_;
};

Reactor::Reactor(Napi::Env env, void (*on_closed)(void*), void* owner)
    : env_(env), on_closed_(on_closed), owner_(owner) {
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) {
    ThrowErrno(env, errno, "epoll_create1");
    return;
  }
  napi_get_uv_event_loop(env, &loop_);
  Napi::Object resource = Napi::Object::New(env);
  resource_ = Napi::Persistent(resource);
  napi_async_init(env, resource, Napi::String::New(env, "AQUIFER"), &async_context_);

  int error = uv_poll_init(loop_, &poll_, epoll_.get());
  if (error != 0) {
    ThrowErrno(env, -error, "uv_poll_init");
    return;
  }
  uv_idle_init(loop_, &idle_);
  uv_timer_init(loop_, &timer_);
  open_handles_ = 3;
  poll_.data = idle_.data = timer_.data = this;
  uv_poll_start(&poll_, UV_READABLE, [](uv_poll_t* handle, int, int) { static_cast<Reactor*>(handle->data)->OnReady(); });
  // Only sources keep the process alive; `poll_` stands for them.
  uv_unref(reinterpret_cast<uv_handle_t*>(&poll_));
  uv_unref(reinterpret_cast<uv_handle_t*>(&idle_));
  uv_unref(reinterpret_cast<uv_handle_t*>(&timer_));
  napi_add_async_cleanup_hook(env, OnHook, this, &hook_);
}

void Reactor::OnHook(napi_async_cleanup_hook_handle, void* data) { static_cast<Reactor*>(data)->Shutdown(); }

// Order: the sources first, they own the sockets; then libuv's handles, whose memory is ours until they have closed.
void Reactor::Shutdown() {
  for (Slot& slot : slots_) {
    if (slot.source == nullptr) continue;
    Source* source = slot.source;
    Unregister(source);
    source->OnShutdown();
  }
  napi_async_destroy(env_, async_context_);
  resource_.Reset();
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_), OnHandleClosed);
  uv_close(reinterpret_cast<uv_handle_t*>(&idle_), OnHandleClosed);
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_), OnHandleClosed);
}

void Reactor::OnHandleClosed(uv_handle_t* handle) {
  auto* reactor = static_cast<Reactor*>(handle->data);
  if (--reactor->open_handles_ > 0) return;
  napi_remove_async_cleanup_hook(reactor->hook_);
  reactor->on_closed_(reactor->owner_);
}

void Reactor::Register(Source* source) {
  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  source->slot_ = free_slots_.back();
  free_slots_.pop_back();
  slots_[source->slot_].source = source;
  source->reactor_ = this;
  if (registered_++ == 0) uv_ref(reinterpret_cast<uv_handle_t*>(&poll_));
}

void Reactor::Unregister(Source* source) {
  RemoveDeadline(source);
  Slot& slot = slots_[source->slot_];
  slot.source = nullptr;
  slot.generation++;
  free_slots_.push_back(source->slot_);
  source->slot_ = Source::kNone;
  source->deferred_ = false;
  source->reactor_ = nullptr;
  if (--registered_ == 0) uv_unref(reinterpret_cast<uv_handle_t*>(&poll_));
}

// Events name a slot and its generation, never an address: a descriptor that another process or a forking thread still
// holds keeps its registration after our close and may report long after the source is gone.
uint64_t Reactor::Tag(const Source* source, unsigned side) const {
  return static_cast<uint64_t>(slots_[source->slot_].generation) << 32 | source->slot_ << 1 | side;
}

Source* Reactor::Find(uint64_t tag) const {
  const Slot& slot = slots_[static_cast<uint32_t>(tag) >> 1];
  return slot.generation == tag >> 32 ? slot.source : nullptr;
}

int Reactor::Control(int operation, Source* source, int fd, unsigned side, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = Tag(source, side);
  return epoll_ctl(epoll_.get(), operation, fd, &event) == 0 ? 0 : errno;
}

int Reactor::Watch(Source* source, int fd, unsigned side, uint32_t events) {
  return Control(EPOLL_CTL_ADD, source, fd, side, events);
}

int Reactor::Rewatch(Source* source, int fd, unsigned side, uint32_t events) {
  return Control(EPOLL_CTL_MOD, source, fd, side, events);
}

void Reactor::Unwatch(int fd) { epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

void Reactor::OnReady() {
  Round round(this);
  epoll_event events[kEventsPerWait];
  for (int wait = 0; wait < kWaitsPerWakeUp; wait++) {
    int count = epoll_wait(epoll_.get(), events, kEventsPerWait, 0);
    for (int i = 0; i < count; i++) {
      uint64_t tag = events[i].data.u64;
      if (Source* source = Find(tag)) source->OnEvents(events[i].events, tag & 1);
    }
    if (count < kEventsPerWait) return;
  }
}

void Reactor::Defer(Source* source) {
  if (source->deferred_) return;
  source->deferred_ = true;
  turns_.push_back(Tag(source, 0));
  uv_idle_start(&idle_, [](uv_idle_t* handle) { static_cast<Reactor*>(handle->data)->OnIdle(); });
}

void Reactor::OnIdle() {
  Round round(this);
  turns_now_.swap(turns_);
  for (uint64_t tag : turns_now_) {
    Source* source = Find(tag);
    if (source == nullptr) continue;
    source->deferred_ = false;
    source->OnTurn();
  }
  turns_now_.clear();
  if (turns_.empty()) uv_idle_stop(&idle_);
}

void Reactor::SetDeadline(Source* source, uint64_t deadline_ms) {
  RemoveDeadline(source);
  if (deadline_ms == 0) return;
  source->deadline_ms_ = deadline_ms;
  heap_.push_back(source);
  Place(source, static_cast<uint32_t>(heap_.size() - 1));
  SiftUp(source->heap_index_);
  ArmTimer();
}

void Reactor::RemoveDeadline(Source* source) {
  uint32_t index = source->heap_index_;
  if (index == Source::kNone) return;
  source->heap_index_ = Source::kNone;
  Source* last = heap_.back();
  heap_.pop_back();
  if (last == source) return;
  Place(last, index);
  SiftUp(index);
  SiftDown(last->heap_index_);
}

void Reactor::Place(Source* source, uint32_t index) {
  heap_[index] = source;
  source->heap_index_ = index;
}

void Reactor::SiftUp(uint32_t index) {
  while (index > 0) {
    uint32_t parent = (index - 1) / 2;
    if (heap_[parent]->deadline_ms_ <= heap_[index]->deadline_ms_) return;
    Source* lower = heap_[index];
    Place(heap_[parent], index);
    Place(lower, parent);
    index = parent;
  }
}

void Reactor::SiftDown(uint32_t index) {
  for (;;) {
    uint32_t least = index;
    for (uint32_t child = 2 * index + 1; child <= 2 * index + 2 && child < heap_.size(); child++) {
      if (heap_[child]->deadline_ms_ < heap_[least]->deadline_ms_) least = child;
    }
    if (least == index) return;
    Source* upper = heap_[index];
    Place(heap_[least], index);
    Place(upper, least);
    index = least;
  }
}

// Only ever moved forward here: a timer that fires too early finds nothing due and arms itself anew.
void Reactor::ArmTimer() {
  if (heap_.empty()) return;
  uint64_t due = heap_.front()->deadline_ms_;
  if (timer_due_ms_ != 0 && timer_due_ms_ <= due) return;
  timer_due_ms_ = due;
  uint64_t now = now_ms();
  uv_timer_start(&timer_, [](uv_timer_t* handle) { static_cast<Reactor*>(handle->data)->OnTimer(); },
                 due > now ? due - now : 0, 0);
  uv_unref(reinterpret_cast<uv_handle_t*>(&timer_));
}

void Reactor::OnTimer() {
  Round round(this);
  timer_due_ms_ = 0;
  uint64_t now = now_ms();
  while (!heap_.empty() && heap_.front()->deadline_ms_ <= now) {
    Source* source = heap_.front();
    uint32_t slot = source->slot_;
    uint32_t generation = slots_[slot].generation;
    RemoveDeadline(source);
    uint64_t next = source->OnDeadline(now);
    bool still_there = slots_[slot].generation == generation;
    if (next != 0 && still_there) SetDeadline(source, next > now ? next : now + 1);
  }
  ArmTimer();
}

uint8_t* Reactor::scratch() {
  if (!scratch_) scratch_.reset(new uint8_t[kScratchBytes]);
  return scratch_.get();
}

void Reactor::EnterJs() {
  if (handle_scope_ == nullptr) napi_open_handle_scope(env_, &handle_scope_);
  if (callback_scope_ == nullptr) napi_open_callback_scope(env_, resource_.Value(), async_context_, &callback_scope_);
}

bool Reactor::Call(const Napi::FunctionReference& function, std::initializer_list<napi_value> arguments) {
  napi_value receiver = env_.Undefined();
  napi_value result = nullptr;
  napi_status status =
      napi_call_function(env_, receiver, function.Value(), arguments.size(), arguments.begin(), &result);
  if (status == napi_ok) return true;
  if (!env_.IsExceptionPending()) return false;
  ReportPending(env_);
  return true;
}

}  // namespace aq

// The sockets of one environment on its event loop: one epoll instance, one timer, one idle handle for all of them.
//
// Why not a uv_poll_t for each socket: libuv is level-triggered and re-registers a socket whenever the wanted events
// change, cannot wait for an error alone (a RST while reading is paused), and costs 160 bytes a socket. Here a socket is
// registered once, edge-triggered, for everything; libuv watches the epoll descriptor.
#pragma once

#include <napi.h>
#include <sys/epoll.h>
#include <uv.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "util/fd.h"

namespace aq {

class Reactor;

// Something that waits for events, time or its turn. Registered sources keep the loop alive.
class Source {
 public:
  virtual ~Source() = default;
  // `side`: 0 or 1, as given to Watch.
  virtual void OnEvents(uint32_t events, unsigned side) = 0;
  // The turn asked for by Reactor::Defer.
  virtual void OnTurn() {}
  // The deadline has passed. Gives the next one, 0 for none.
  virtual uint64_t OnDeadline(uint64_t now_ms) { return 0; }
  // The environment ends: close all descriptors, without calling into JavaScript. Already unregistered.
  virtual void OnShutdown() = 0;

 protected:
  Reactor* reactor_ = nullptr;  // null when not registered

 private:
  friend class Reactor;
  static constexpr uint32_t kNone = UINT32_MAX;
  uint32_t slot_ = kNone;
  uint32_t heap_index_ = kNone;
  uint64_t deadline_ms_ = 0;
  bool deferred_ = false;
};

class Reactor {
 public:
  // Throws into `env` and stays unusable when the kernel refuses. `on_closed` runs once when the environment has ended
  // and libuv has let go of our handles: the owner frees the reactor.
  Reactor(Napi::Env env, void (*on_closed)(void*), void* owner);
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  Napi::Env env() const { return env_; }

  void Register(Source* source);
  // Events that are under way no longer reach it; descriptors that stay open must be unwatched by the caller.
  void Unregister(Source* source);

  // 0 or an errno. The registration ends with the descriptor.
  int Watch(Source* source, int fd, unsigned side, uint32_t events);
  int Rewatch(Source* source, int fd, unsigned side, uint32_t events);
  void Unwatch(int fd);

  // Calls OnTurn from the loop, soon.
  void Defer(Source* source);
  // In the loop's clock; 0: none.
  void SetDeadline(Source* source, uint64_t deadline_ms);
  // The time at which the loop woke up.
  uint64_t now_ms() const { return uv_now(loop_); }
  // For deadlines that are set from JavaScript: the loop's own time may be as old as the script has run.
  uint64_t fresh_now_ms() {
    uv_update_time(loop_);
    return uv_now(loop_);
  }

  // One buffer for all reads: nothing in it outlives the call that filled it.
  // 256 KiB: bulk CPU per byte fell by a tenth against 128 KiB, and by a third against 16 KiB.
  static constexpr size_t kScratchBytes = 256 * 1024;
  uint8_t* scratch();

  // Calls JavaScript from the loop. What it throws becomes 'uncaughtException'. False when nothing ran, because the
  // environment is ending.
  bool Call(const Napi::FunctionReference& function, std::initializer_list<napi_value> arguments);
  // Needed around the making of values on the loop.
  void EnterJs();

 private:
  struct Slot {
    Source* source = nullptr;
    uint32_t generation = 0;
  };
  class Round;

  uint64_t Tag(const Source* source, unsigned side) const;
  Source* Find(uint64_t tag) const;
  int Control(int operation, Source* source, int fd, unsigned side, uint32_t events);
  void OnReady();
  void OnIdle();
  void OnTimer();
  void ArmTimer();
  void SiftUp(uint32_t index);
  void SiftDown(uint32_t index);
  void Place(Source* source, uint32_t index);
  void RemoveDeadline(Source* source);
  void Shutdown();
  static void OnHook(napi_async_cleanup_hook_handle handle, void* data);
  static void OnHandleClosed(uv_handle_t* handle);

  Napi::Env env_;
  uv_loop_t* loop_ = nullptr;
  UniqueFd epoll_;
  uv_poll_t poll_{};
  uv_idle_t idle_{};
  uv_timer_t timer_{};
  uint64_t timer_due_ms_ = 0;  // 0: not armed
  int open_handles_ = 0;
  void (*on_closed_)(void*);
  void* owner_;
  napi_async_cleanup_hook_handle hook_ = nullptr;

  std::vector<Slot> slots_;
  std::vector<uint32_t> free_slots_;
  uint32_t registered_ = 0;
  std::vector<uint64_t> turns_;
  std::vector<uint64_t> turns_now_;
  std::vector<Source*> heap_;  // by deadline
  std::unique_ptr<uint8_t[]> scratch_;

  napi_async_context async_context_ = nullptr;
  Napi::ObjectReference resource_;
  napi_handle_scope handle_scope_ = nullptr;
  napi_callback_scope callback_scope_ = nullptr;
  bool in_round_ = false;
};

}  // namespace aq

// What belongs to one environment (the main thread or a worker): constructors and the list of open handles.
#pragma once

#include <napi.h>

#include <list>
#include <memory>
#include <string>
#include <unordered_map>

namespace aq {

// Something that owns kernel resources and must let go of them when its environment ends.
class Handle {
 public:
  virtual ~Handle() = default;
  // Idempotent; must not call into JavaScript.
  virtual void CloseNow() = 0;
};

// Open handles in the order in which they were opened. Shared by the handles, because the garbage collector may finalize
// an object after the instance data is gone.
class OpenHandles {
 public:
  using Place = std::list<Handle*>::iterator;
  Place Add(Handle* handle) { return handles_.insert(handles_.end(), handle); }
  void Remove(Place place) { handles_.erase(place); }

  // Newest first: what was built on something is closed before it. A handle removes itself in CloseNow.
  void CloseAll() {
    while (!handles_.empty()) {
      Handle* newest = handles_.back();
      newest->CloseNow();
      if (!handles_.empty() && handles_.back() == newest) handles_.pop_back();
    }
  }

 private:
  std::list<Handle*> handles_;
};

struct Instance {
  std::shared_ptr<OpenHandles> open = std::make_shared<OpenHandles>();
  std::unordered_map<std::string, Napi::FunctionReference> constructors;

  // Once for each environment, before any class is defined. The cleanup hook runs before napi finalizes any object.
  static void Install(Napi::Env env) {
    auto* instance = new Instance();
    env.SetInstanceData<Instance>(instance);
    auto* open = new std::shared_ptr<OpenHandles>(instance->open);
    napi_add_env_cleanup_hook(
        env,
        [](void* argument) {
          auto* held = static_cast<std::shared_ptr<OpenHandles>*>(argument);
          (*held)->CloseAll();
          delete held;
        },
        open);
  }

  static Instance& Of(Napi::Env env) { return *env.GetInstanceData<Instance>(); }
};

}  // namespace aq

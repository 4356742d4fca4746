// Base of all classes that JavaScript holds: type tag, closed state, place in the environment's list of open handles.
//
// A derived class gives `static constexpr const char* kName`, `static constexpr napi_type_tag kTag`, its resources, and
// `Release()` that frees them. Its JS constructor makes a closed handle (`new handle.constructor()` is harmless);
// `Create` makes one, and the caller fills it and calls `Opened()`.
#pragma once

#include <napi.h>

#include <memory>
#include <optional>
#include <vector>

#include "util/error.h"
#include "util/instance.h"

namespace aq {

template <class T>
class HandleWrap : public Napi::ObjectWrap<T>, public Handle {
 public:
  explicit HandleWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<T>(info) {
    info.This().As<Napi::Object>().TypeTag(&T::kTag);
  }

  // A derived destructor must call CloseNow(): here Release() is no longer reachable.
  ~HandleWrap() override { Forget(); }

  void CloseNow() final {
    if (!place_) return;
    Forget();
    static_cast<T*>(this)->Release();
  }

  // Adds `close` to the class's own methods and accessors.
  static void Define(Napi::Env env, std::vector<Napi::ClassPropertyDescriptor<T>> properties) {
    properties.push_back(T::InstanceMethod("close", static_cast<void (T::*)(const Napi::CallbackInfo&)>(&HandleWrap::Close)));
    Napi::Function constructor = T::DefineClass(env, T::kName, properties);
    Instance::Of(env).constructors.emplace(T::kName, Napi::Persistent(constructor));
  }

  // Null with an exception pending when the environment is ending.
  static T* Create(Napi::Env env) {
    Napi::Object object = Instance::Of(env).constructors.at(T::kName).New({});
    return env.IsExceptionPending() ? nullptr : T::Unwrap(object);
  }

  // The open handle behind an argument; null with an exception pending otherwise.
  static T* From(Napi::Env env, Napi::Value value, const char* name) {
    if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&T::kTag)) {
      ThrowArgument(env, std::string(name) + " must be a " + T::kName);
      return nullptr;
    }
    T* handle = T::Unwrap(value.As<Napi::Object>());
    return handle->Ready(env) ? handle : nullptr;
  }

  bool IsOpen() const { return place_.has_value(); }

 protected:
  void Opened() {
    open_ = Instance::Of(this->Env()).open;
    place_ = open_->Add(this);
  }

  // First line of each method. V8 checks the receiver of methods but not of accessors, hence the tag.
  bool Usable(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    if (!info.This().IsObject() || !info.This().As<Napi::Object>().CheckTypeTag(&T::kTag)) {
      ThrowArgument(env, std::string("receiver must be a ") + T::kName);
      return false;
    }
    return Ready(env);
  }

  bool Ready(Napi::Env env) {
    if (IsOpen()) return true;
    ThrowClosed(env, T::kName);
    return false;
  }

  void Close(const Napi::CallbackInfo&) { CloseNow(); }

 private:
  void Forget() {
    if (!place_) return;
    open_->Remove(*place_);
    place_.reset();
    open_.reset();
  }

  std::shared_ptr<OpenHandles> open_;
  std::optional<OpenHandles::Place> place_;
};

}  // namespace aq

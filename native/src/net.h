// The half of the addon that deals with namespaces, sockets, netlink and the relay, and what its parts share.
#pragma once

#include <napi.h>
#include <sys/types.h>

#include <memory>

#include "reactor.h"
#include "util/fd.h"

namespace aq {

// State of one environment. Lives until libuv has closed the reactor's handles; functions carry it as their data.
struct Net {
  explicit Net(Napi::Env env);

  Reactor reactor;
  // The thread's own namespace, the way back of every switch.
  UniqueFd home;
  ino_t home_inode = 0;
  dev_t home_device = 0;
  // The next source port to try under a foreign address; see connector.cc.
  uint16_t foreign_port = 0;

  Napi::FunctionReference listener_class;
  Napi::FunctionReference connector_class;
  Napi::FunctionReference relay_class;
  // Small JavaScript functions that build objects; see net.cc.
  Napi::FunctionReference deliver_accepted;
  Napi::FunctionReference deliver_connected;
  Napi::FunctionReference deliver_end;

  static Net& Of(const Napi::CallbackInfo& info) { return *static_cast<Net*>(info.Data()); }
  void Export(Napi::Env env, Napi::Object exports, const char* name, Napi::Value (*function)(const Napi::CallbackInfo&));
};

void InitNet(Napi::Env env, Napi::Object exports);

}  // namespace aq

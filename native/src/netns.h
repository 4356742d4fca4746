// Network namespaces by descriptor. Only a socket's creation, a mount's lookup and /proc/sys depend on the thread's own
// namespace, so a switch never outlives one call.
#pragma once

#include <napi.h>

#include "util/fd.h"

namespace aq {

struct Net;

// Moves the calling thread into a namespace and back at the end of the scope. When the way back fails the process aborts:
// going on would open sockets in a pod's namespace on behalf of another.
class NetnsScope {
 public:
  NetnsScope(const Net& net, int netns);
  ~NetnsScope();
  NetnsScope(const NetnsScope&) = delete;
  NetnsScope& operator=(const NetnsScope&) = delete;

  // 0, or why the thread is still in its own namespace.
  int error() const { return error_; }

 private:
  int home_;
  bool moved_ = false;
  int error_ = 0;
};

void InitNetns(Napi::Env env, Napi::Object exports, Net* net);

}  // namespace aq

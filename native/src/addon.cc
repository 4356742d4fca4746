// Entry of the addon, once for each environment that loads it.
#include <napi.h>

#include "bpf.h"
#include "net.h"
#include "util/instance.h"

namespace {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  aq::Instance::Install(env);
  aq::InitBpf(env, exports);
  aq::InitNet(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(aquifer, Init)

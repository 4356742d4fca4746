// The libbpf half of the addon.
#pragma once

#include <napi.h>

namespace aq {

void InitBpf(Napi::Env env, Napi::Object exports);

}  // namespace aq

// Advisory locks between processes.
#pragma once

#include <napi.h>

namespace aq {

void InitLock(Napi::Env env, Napi::Object exports);

}  // namespace aq

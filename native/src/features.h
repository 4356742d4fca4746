// Does the running kernel support it? Asked by trying, never by version.
#pragma once

#include <napi.h>

namespace aq {

void InitFeatures(Napi::Env env, Napi::Object exports);

}  // namespace aq

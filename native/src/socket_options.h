// Any socket by descriptor: options, names, close.
#pragma once

#include <napi.h>

namespace aq {

struct Net;

void InitSocketOptions(Napi::Env env, Napi::Object exports, Net* net);

}  // namespace aq

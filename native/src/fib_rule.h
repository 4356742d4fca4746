// FIB rules that look a mark up in a table.
#pragma once

#include <napi.h>

namespace aq {

struct Net;

void InitFibRule(Napi::Env env, Napi::Object exports, Net* net);

}  // namespace aq

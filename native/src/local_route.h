// `local default dev lo` routes: what a table holds for marked connections.
#pragma once

#include <napi.h>

namespace aq {

struct Net;

void InitLocalRoute(Napi::Env env, Napi::Object exports, Net* net);

}  // namespace aq

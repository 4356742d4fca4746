// FIB rules, local routes and addresses of a namespace (rtnetlink(7)).
#pragma once

#include <napi.h>

namespace aq {

struct Net;

void InitRtnetlink(Napi::Env env, Napi::Object exports, Net* net);

}  // namespace aq

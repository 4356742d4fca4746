// Unix sockets and the passing of descriptors (SCM_RIGHTS).
#pragma once

#include <napi.h>

namespace aq {

struct Net;

void InitUnixSocket(Napi::Env env, Napi::Object exports, Net* net);

}  // namespace aq

// Addresses of all interfaces of a namespace.
#pragma once

#include <napi.h>

namespace aq {

struct Net;

void InitInterfaceAddress(Napi::Env env, Napi::Object exports, Net* net);

}  // namespace aq

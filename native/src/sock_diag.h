// TCP sockets of a namespace: list and destroy (sock_diag(7)).
#pragma once

#include <napi.h>

namespace aq {

struct Net;

void InitSockDiag(Napi::Env env, Napi::Object exports, Net* net);

}  // namespace aq

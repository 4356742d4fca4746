// Attaching to cgroups and network namespaces, and asking what is in force there.
#pragma once

#include <napi.h>

namespace aq {

void InitCgroup(Napi::Env env, Napi::Object exports);

}  // namespace aq

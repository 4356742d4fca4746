// Calling back into JavaScript from the event loop.
#pragma once

#include <napi.h>

namespace aq {

// What a callback threw goes where any exception on the loop goes: 'uncaughtException'. Without this it would stay
// pending and surface from whichever native call comes next.
inline void ReportPending(Napi::Env env) {
  if (!env.IsExceptionPending()) return;
  Napi::Error error = env.GetAndClearPendingException();
  napi_fatal_exception(env, error.Value());
}

}  // namespace aq

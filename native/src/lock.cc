#include "lock.h"

#include <sys/file.h>

#include <cerrno>

#include "util/args.h"
#include "util/error.h"

namespace aq {
namespace {

// Never waits: a holder that is stuck must not stop the loop.
Napi::Value TryLock(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::optional<int> fd = FdOf(env, info[0], "fd");
  if (!fd) return {};
  if (flock(*fd, LOCK_EX | LOCK_NB) == 0) return Napi::Boolean::New(env, true);
  if (errno == EWOULDBLOCK) return Napi::Boolean::New(env, false);
  ThrowErrno(env, errno, "flock");
  return {};
}

}  // namespace

void InitLock(Napi::Env env, Napi::Object exports) {
  exports.Set("tryLock", Napi::Function::New<TryLock>(env, "tryLock"));
}

}  // namespace aq

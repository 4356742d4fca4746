#include "bpf.h"

#include "cgroup.h"
#include "collection.h"
#include "features.h"
#include "link.h"
#include "lock.h"
#include "map.h"
#include "program.h"
#include "ring_buffer.h"

namespace aq {

void InitBpf(Napi::Env env, Napi::Object exports) {
  Collection::Init(env, exports);
  Map::Init(env, exports);
  Program::Init(env, exports);
  Link::Init(env, exports);
  RingBuffer::Init(env, exports);
  InitCgroup(env, exports);
  InitFeatures(env, exports);
  InitLock(env, exports);
}

}  // namespace aq

#include "map.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cerrno>
#include <unordered_set>

#include "util/args.h"
#include "util/kernel_object.h"

namespace aq {
namespace {

bool IsPerCpu(__u32 type) {
  return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY || type == BPF_MAP_TYPE_LRU_PERCPU_HASH ||
         type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

bool IsHash(__u32 type) {
  return type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_LRU_HASH || type == BPF_MAP_TYPE_PERCPU_HASH ||
         type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

bool HoldsSockets(__u32 type) {
  return type == BPF_MAP_TYPE_SOCKMAP || type == BPF_MAP_TYPE_SOCKHASH || type == BPF_MAP_TYPE_REUSEPORT_SOCKARRAY;
}

// Queues and stacks have no key, and the kernel wants a null pointer for it.
const void* Pointer(const std::vector<uint8_t>& bytes) { return bytes.empty() ? nullptr : bytes.data(); }

std::optional<__u64> FlagOf(Napi::Env env, Napi::Value value) {
  std::string flag = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
  if (flag == "any") return BPF_ANY;
  if (flag == "noexist") return BPF_NOEXIST;
  if (flag == "exist") return BPF_EXIST;
  ThrowArgument(env, "flag must be 'any', 'noexist' or 'exist'");
  return std::nullopt;
}

}  // namespace

void Map::Init(Napi::Env env, Napi::Object exports) {
  Define(env, {
                  InstanceAccessor<&Map::GetInfo>("info"),
                  InstanceMethod<&Map::Lookup>("lookup"),
                  InstanceMethod<&Map::Update>("update"),
                  InstanceMethod<&Map::UpdateFd>("updateFd"),
                  InstanceMethod<&Map::Delete>("delete"),
                  InstanceMethod<&Map::LookupAndDelete>("lookupAndDelete"),
                  InstanceMethod<&Map::Entries>("entries"),
                  InstanceMethod<&Map::PinAt>("pin"),
              });
  exports.Set("openPinnedMap", Napi::Function::New<OpenPinnedMap>(env, "openPinnedMap"));
}

Napi::Value Map::Wrap(Napi::Env env, UniqueFd fd) {
  std::optional<bpf_map_info> info = InfoOf<bpf_map_info>(env, fd.get());
  if (!info) return {};
  size_t value_size = info->value_size;
  if (IsPerCpu(info->type)) {
    int cpus = libbpf_num_possible_cpus();
    if (cpus < 0) {
      ThrowErrno(env, -cpus, "open", "/sys/devices/system/cpu/possible");
      return {};
    }
    value_size = (value_size + 7) / 8 * 8 * static_cast<size_t>(cpus);
  }
  Map* map = Create(env);
  if (map == nullptr) return {};
  map->fd_ = std::move(fd);
  map->info_ = *info;
  map->value_size_ = value_size;
  map->Opened();
  return map->Value();
}

Napi::Value Map::OpenPinnedMap(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::optional<std::string> path = PathOf(env, info[0], "path");
  if (!path) return {};
  UniqueFd fd = OpenPinned(env, *path, ObjectKind::kMap);
  if (!fd) return {};
  return Wrap(env, std::move(fd));
}

Napi::Value Map::GetInfo(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!Usable(info)) return {};
  Napi::Object result = Napi::Object::New(env);
  result.Set("id", Napi::Number::New(env, info_.id));
  result.Set("name", Napi::String::New(env, NameOf(info_.name)));
  result.Set("type", Napi::Number::New(env, info_.type));
  result.Set("keySize", Napi::Number::New(env, info_.key_size));
  result.Set("valueSize", Napi::Number::New(env, info_.value_size));
  result.Set("maxEntries", Napi::Number::New(env, info_.max_entries));
  return result;
}

Napi::Value Map::Lookup(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!Usable(info)) return {};
  std::optional<Bytes> key = Exact(env, info[0], "key", info_.key_size);
  if (!key) return {};
  Bytes value(value_size_);
  if (bpf_map_lookup_elem(fd_.get(), Pointer(*key), value.data()) == 0) return CopyBytes(env, value.data(), value.size());
  if (errno == ENOENT) return env.Null();
  Fail(env, errno, "BPF_MAP_LOOKUP_ELEM");
  return {};
}

void Map::Update(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!Usable(info)) return;
  std::optional<Bytes> key = Exact(env, info[0], "key", info_.key_size);
  if (!key) return;
  std::optional<Bytes> value = Exact(env, info[1], "value", value_size_);
  if (!value) return;
  std::optional<__u64> flag = FlagOf(env, info[2]);
  if (!flag) return;
  if (bpf_map_update_elem(fd_.get(), Pointer(*key), Pointer(*value), *flag) != 0) Fail(env, errno, "BPF_MAP_UPDATE_ELEM");
}

void Map::UpdateFd(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!Usable(info)) return;
  std::optional<Bytes> key = Exact(env, info[0], "key", info_.key_size);
  if (!key) return;
  std::optional<int> fd = FdOf(env, info[1], "fd");
  if (!fd) return;
  if (!HoldsSockets(info_.type)) return Fail(env, EINVAL, "BPF_MAP_UPDATE_ELEM");
  // A map whose values are 8 bytes wide gives socket cookies to lookups, but takes descriptors too.
  __u64 value = static_cast<__u64>(*fd);
  if (bpf_map_update_elem(fd_.get(), Pointer(*key), &value, BPF_ANY) != 0) Fail(env, errno, "BPF_MAP_UPDATE_ELEM");
}

Napi::Value Map::Delete(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!Usable(info)) return {};
  std::optional<Bytes> key = Exact(env, info[0], "key", info_.key_size);
  if (!key) return {};
  if (bpf_map_delete_elem(fd_.get(), Pointer(*key)) == 0) return Napi::Boolean::New(env, true);
  // An empty slot of a SOCKMAP is EINVAL (net/core/sock_map.c), everywhere else a missing key is ENOENT.
  if (errno == ENOENT || (errno == EINVAL && info_.type == BPF_MAP_TYPE_SOCKMAP)) return Napi::Boolean::New(env, false);
  Fail(env, errno, "BPF_MAP_DELETE_ELEM");
  return {};
}

Napi::Value Map::LookupAndDelete(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!Usable(info)) return {};
  std::optional<Bytes> key = Exact(env, info[0], "key", info_.key_size);
  if (!key) return {};
  Bytes value(value_size_);
  if (bpf_map_lookup_and_delete_elem(fd_.get(), Pointer(*key), value.data()) == 0) {
    return CopyBytes(env, value.data(), value.size());
  }
  if (errno == ENOENT) return env.Null();
  Fail(env, errno, "BPF_MAP_LOOKUP_AND_DELETE_ELEM");
  return {};
}

Napi::Value Map::Entries(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!Usable(info)) return {};
  Napi::Array entries = Napi::Array::New(env);
  if (!IsHash(info_.type) || !ReadInBatches(env, entries)) ReadOneByOne(env, entries);
  if (env.IsExceptionPending()) return {};
  return entries;
}

// Walks bucket by bucket, so that a key deleted meanwhile cannot send the walk back to the start. False: not supported.
bool Map::ReadInBatches(Napi::Env env, Napi::Array entries) {
  __u32 capacity = std::min<__u32>(info_.max_entries, 256);
  __u64 position = 0;
  bool first = true;
  for (;;) {
    Bytes keys(size_t{capacity} * info_.key_size);
    Bytes values(size_t{capacity} * value_size_);
    __u32 count = capacity;
    __u64 next = position;
    int failed = bpf_map_lookup_batch(fd_.get(), first ? nullptr : &position, &next, keys.data(), values.data(), &count, nullptr);
    int number = failed != 0 ? errno : 0;
    if (number == ENOSPC) {
      // One bucket holds more than fits: again from the same place with more room.
      capacity *= 2;
      continue;
    }
    if (number != 0 && number != ENOENT) {
      if (first) return false;
      Fail(env, number, "BPF_MAP_LOOKUP_BATCH");
      return true;
    }
    for (__u32 i = 0; i < count; i++) {
      Napi::HandleScope scope(env);
      entries.Set(entries.Length(), ToEntry(env, &keys[size_t{i} * info_.key_size], &values[i * value_size_]));
    }
    if (number == ENOENT) return true;
    position = next;
    first = false;
  }
}

void Map::ReadOneByOne(Napi::Env env, Napi::Array entries) {
  Bytes key(info_.key_size);
  Bytes next(info_.key_size);
  Bytes value(value_size_);
  // When the key at hand is deleted meanwhile some maps start again from their first one: without the set the walk could
  // yield a key twice, or never end.
  std::unordered_set<std::string> seen;
  for (bool first = true;; first = false) {
    if (bpf_map_get_next_key(fd_.get(), first ? nullptr : key.data(), next.data()) != 0) {
      if (errno != ENOENT) Fail(env, errno, "BPF_MAP_GET_NEXT_KEY");
      return;
    }
    key = next;
    if (!seen.emplace(key.begin(), key.end()).second) return;
    if (bpf_map_lookup_elem(fd_.get(), key.data(), value.data()) != 0) {
      if (errno == ENOENT) continue;
      return Fail(env, errno, "BPF_MAP_LOOKUP_ELEM");
    }
    Napi::HandleScope scope(env);
    entries.Set(entries.Length(), ToEntry(env, key.data(), value.data()));
  }
}

void Map::PinAt(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!Usable(info)) return;
  std::optional<std::string> path = PathOf(env, info[0], "path");
  if (path) Pin(env, fd_.get(), *path);
}

std::optional<Map::Bytes> Map::Exact(Napi::Env env, Napi::Value value, const char* name, size_t size) const {
  std::optional<std::span<const uint8_t>> bytes = BytesOf(env, value, name);
  if (!bytes) return std::nullopt;
  if (bytes->size() == size) return Bytes(bytes->begin(), bytes->end());
  ThrowArgument(env, std::string(name) + " of map " + NameOf(info_.name) + " must be " + std::to_string(size) + " bytes, not " +
                         std::to_string(bytes->size()));
  return std::nullopt;
}

void Map::Fail(Napi::Env env, int number, const char* command) const {
  ThrowErrno(env, number, std::string("bpf(") + command + ")", NameOf(info_.name));
}

Napi::Value Map::ToEntry(Napi::Env env, const uint8_t* key, const uint8_t* value) const {
  Napi::Array entry = Napi::Array::New(env, 2);
  entry.Set(0u, CopyBytes(env, key, info_.key_size));
  entry.Set(1u, CopyBytes(env, value, value_size_));
  return entry;
}

}  // namespace aq

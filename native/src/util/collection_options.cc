#include "util/collection_options.h"

#include <algorithm>
#include <cerrno>

#include "map.h"
#include "util/args.h"
#include "util/btf.h"

namespace aq {
namespace {

// From BPF_OBJ_NAME_LEN, less the NUL.
constexpr size_t kMaxNameBytes = 15;

// Calls `take(name, value)` for each own property; it returns false with an exception pending.
template <class Take>
bool ForEachOf(Napi::Env env, Napi::Object options, const char* field, Take take) {
  std::optional<Napi::Object> object = ObjectOf(env, options.Get(field), field);
  if (!object) return false;
  Napi::Array names = object->GetPropertyNames();
  if (env.IsExceptionPending()) return false;
  for (uint32_t i = 0; i < names.Length(); i++) {
    Napi::Value name = names.Get(i);
    Napi::Value value = object->Get(name);
    if (env.IsExceptionPending() || !take(name.ToString().Utf8Value(), value)) return false;
  }
  return true;
}

bool ReadPrograms(Napi::Env env, Napi::Value value, std::optional<std::vector<std::string>>* programs) {
  if (value.IsNull()) return true;
  if (!value.IsArray()) {
    ThrowArgument(env, "programs must be an array of strings or null");
    return false;
  }
  Napi::Array names = value.As<Napi::Array>();
  programs->emplace();
  for (uint32_t i = 0; i < names.Length(); i++) {
    std::optional<std::string> name = StringOf(env, names.Get(i), "programs");
    if (!name) return false;
    (*programs)->push_back(*name);
  }
  return true;
}

// What makes two maps interchangeable for a program that was compiled against one of them.
std::string DifferenceOf(const bpf_map* declared, const bpf_map_info& used) {
  auto differ = [](const char* what, uint64_t want, uint64_t have) {
    return std::string(what) + " " + std::to_string(have) + " instead of " + std::to_string(want);
  };
  if (bpf_map__type(declared) != used.type) return differ("type", bpf_map__type(declared), used.type);
  if (bpf_map__key_size(declared) != used.key_size) return differ("key size", bpf_map__key_size(declared), used.key_size);
  if (bpf_map__value_size(declared) != used.value_size) {
    return differ("value size", bpf_map__value_size(declared), used.value_size);
  }
  // An object may leave the figure open (perf event arrays: one for each CPU).
  uint32_t entries = bpf_map__max_entries(declared);
  if (entries != 0 && entries != used.max_entries) return differ("max_entries", entries, used.max_entries);
  if (bpf_map__map_flags(declared) != used.map_flags) return differ("flags", bpf_map__map_flags(declared), used.map_flags);
  return "";
}

}  // namespace

std::optional<CollectionOptions> CollectionOptions::From(Napi::Env env, Napi::Value value) {
  std::optional<Napi::Object> object = ObjectOf(env, value, "options");
  if (!object) return std::nullopt;
  CollectionOptions options;
  std::optional<std::string> name = PathOf(env, object->Get("name"), "name");
  if (!name) return std::nullopt;
  if (name->size() > kMaxNameBytes) {
    ThrowArgument(env, "name must have at most 15 characters");
    return std::nullopt;
  }
  options.name = *name;
  bool read = ForEachOf(env, *object, "constants", [&](std::string key, Napi::Value item) {
    auto bytes = BytesOf(env, item, "constants");
    if (bytes) options.constants.emplace_back(std::move(key), std::vector<uint8_t>(bytes->begin(), bytes->end()));
    return bytes.has_value();
  });
  read = read && ForEachOf(env, *object, "reuseMaps", [&](std::string key, Napi::Value item) {
    Map* map = Map::From(env, item, "reuseMaps");
    if (map != nullptr) options.reuse_maps.emplace_back(std::move(key), map);
    return map != nullptr;
  });
  read = read && ForEachOf(env, *object, "maxEntries", [&](std::string key, Napi::Value item) {
    auto entries = IntegerOf(env, item, "maxEntries", 1, UINT32_MAX);
    if (entries) options.max_entries.emplace_back(std::move(key), static_cast<uint32_t>(*entries));
    return entries.has_value();
  });
  if (!read || !ReadPrograms(env, object->Get("programs"), &options.programs)) return std::nullopt;
  return options;
}

bool CollectionOptions::ApplyTo(Napi::Env env, bpf_object* object) const {
  return ApplyConstants(env, object) && ApplyMaxEntries(env, object) && ApplyReusedMaps(env, object) &&
         ApplyPrograms(env, object);
}

bool CollectionOptions::ApplyConstants(Napi::Env env, bpf_object* object) const {
  for (const auto& [constant, bytes] : constants) {
    std::span<uint8_t> variable = ConstantOf(object, constant);
    if (variable.empty()) {
      ThrowErrno(env, ENOENT, "constant", name + "/" + constant);
      return false;
    }
    if (variable.size() != bytes.size()) {
      ThrowErrno(env, EINVAL, "constant",
                 name + "/" + constant + " (" + std::to_string(bytes.size()) + " bytes for " + std::to_string(variable.size()) + ")");
      return false;
    }
    std::copy(bytes.begin(), bytes.end(), variable.begin());
  }
  return true;
}

bool CollectionOptions::ApplyMaxEntries(Napi::Env env, bpf_object* object) const {
  for (const auto& [map_name, entries] : max_entries) {
    bpf_map* map = bpf_object__find_map_by_name(object, map_name.c_str());
    int failed = map == nullptr ? -ENOENT : bpf_map__set_max_entries(map, entries);
    if (failed == 0) continue;
    ThrowErrno(env, -failed, "max_entries", name + "/" + map_name);
    return false;
  }
  return true;
}

bool CollectionOptions::ApplyReusedMaps(Napi::Env env, bpf_object* object) const {
  for (const auto& [map_name, used] : reuse_maps) {
    bpf_map* map = bpf_object__find_map_by_name(object, map_name.c_str());
    if (map == nullptr) {
      ThrowErrno(env, ENOENT, "reuse map", name + "/" + map_name);
      return false;
    }
    std::string difference = DifferenceOf(map, used->info());
    // The constants would silently stay those of the map in use.
    if (difference.empty() && IsReadOnlyData(map) && !constants.empty()) difference = "constants are given too";
    if (!difference.empty()) {
      ThrowErrno(env, EINVAL, "reuse map", name + "/" + map_name + " (" + difference + ")");
      return false;
    }
    int failed = bpf_map__reuse_fd(map, used->fd());
    if (failed != 0) {
      ThrowErrno(env, -failed, "reuse map", name + "/" + map_name);
      return false;
    }
  }
  return true;
}

bool CollectionOptions::ApplyPrograms(Napi::Env env, bpf_object* object) const {
  if (!programs) return true;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object) bpf_program__set_autoload(program, false);
  for (const std::string& wanted : *programs) {
    program = bpf_object__find_program_by_name(object, wanted.c_str());
    if (program == nullptr) {
      ThrowErrno(env, ENOENT, "program", name + "/" + wanted);
      return false;
    }
    bpf_program__set_autoload(program, true);
  }
  return true;
}

}  // namespace aq

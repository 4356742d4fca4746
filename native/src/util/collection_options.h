// CollectionOptions of native/index.ts, checked and copied out of JavaScript, and put on an object before it is loaded.
#pragma once

#include <bpf/libbpf.h>
#include <napi.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace aq {

class Map;

struct CollectionOptions {
  std::string name;
  std::vector<std::pair<std::string, std::vector<uint8_t>>> constants;
  // Kept alive by the caller's argument.
  std::vector<std::pair<std::string, Map*>> reuse_maps;
  std::vector<std::pair<std::string, uint32_t>> max_entries;
  std::optional<std::vector<std::string>> programs;

  // Empty with an exception pending.
  static std::optional<CollectionOptions> From(Napi::Env env, Napi::Value value);

  // False with an exception pending: ENOENT for a name that the object does not have, EINVAL for a size that differs.
  bool ApplyTo(Napi::Env env, bpf_object* object) const;

 private:
  bool ApplyConstants(Napi::Env env, bpf_object* object) const;
  bool ApplyMaxEntries(Napi::Env env, bpf_object* object) const;
  bool ApplyReusedMaps(Napi::Env env, bpf_object* object) const;
  bool ApplyPrograms(Napi::Env env, bpf_object* object) const;
};

}  // namespace aq

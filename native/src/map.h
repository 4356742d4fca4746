// BpfMap of native/index.ts.
#pragma once

#include <linux/bpf.h>
#include <napi.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "util/fd.h"
#include "util/handle_wrap.h"

namespace aq {

class Map : public HandleWrap<Map> {
 public:
  static constexpr const char* kName = "BpfMap";
  static constexpr napi_type_tag kTag = {0x6171756966657201, 0x6270665f6d617001};

  explicit Map(const Napi::CallbackInfo& info) : HandleWrap(info) {}
  ~Map() override { CloseNow(); }

  static void Init(Napi::Env env, Napi::Object exports);
  // Takes the descriptor of a map; empty with an exception pending.
  static Napi::Value Wrap(Napi::Env env, UniqueFd fd);

  void Release() { fd_.reset(); }
  int fd() const { return fd_.get(); }
  const bpf_map_info& info() const { return info_; }

 private:
  using Bytes = std::vector<uint8_t>;

  static Napi::Value OpenPinnedMap(const Napi::CallbackInfo& info);
  Napi::Value GetInfo(const Napi::CallbackInfo& info);
  Napi::Value Lookup(const Napi::CallbackInfo& info);
  void Update(const Napi::CallbackInfo& info);
  void UpdateFd(const Napi::CallbackInfo& info);
  Napi::Value Delete(const Napi::CallbackInfo& info);
  Napi::Value LookupAndDelete(const Napi::CallbackInfo& info);
  Napi::Value Entries(const Napi::CallbackInfo& info);
  void PinAt(const Napi::CallbackInfo& info);

  // A copy of an argument that is exactly `size` bytes long.
  std::optional<Bytes> Exact(Napi::Env env, Napi::Value value, const char* name, size_t size) const;
  void Fail(Napi::Env env, int number, const char* command) const;
  Napi::Value ToEntry(Napi::Env env, const uint8_t* key, const uint8_t* value) const;
  bool ReadInBatches(Napi::Env env, Napi::Array entries);
  void ReadOneByOne(Napi::Env env, Napi::Array entries);

  UniqueFd fd_;
  bpf_map_info info_{};
  // Bytes of a value as user space sees it: all CPUs' for a per-CPU map.
  size_t value_size_ = 0;
};

}  // namespace aq

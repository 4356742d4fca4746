#include "collection.h"

#include <cerrno>

#include "map.h"
#include "program.h"
#include "util/args.h"
#include "util/btf.h"
#include "util/collection_options.h"
#include "util/kernel_object.h"
#include "util/libbpf_log.h"

namespace aq {
namespace {

// libbpf returns one errno for the whole load; its warnings say which system call it was and about what.
void ThrowLoadError(Napi::Env env, int number, const LibbpfLog& log, const std::string& name) {
  std::string program = log.Subject("prog", "BPF program load failed");
  std::string map = log.Subject("map", "failed to create");
  std::string call = "bpf_object__load";
  std::string detail = name + " (" + log.FirstWarning() + ")";
  if (!program.empty()) {
    call = "bpf(BPF_PROG_LOAD)";
    detail = name + "/" + program;
  } else if (log.NothingLoads()) {
    call = "bpf(BPF_PROG_LOAD)";
    detail = name;
  } else if (!map.empty()) {
    call = "bpf(BPF_MAP_CREATE)";
    detail = name + "/" + map;
  }
  Napi::Error error = MakeErrno(env, number, call, detail);
  std::string verifier = log.VerifierTail();
  if (!verifier.empty()) error.Value().Set("verifierLog", Napi::String::New(env, verifier));
  error.ThrowAsJavaScriptException();
}

}  // namespace

void Collection::Init(Napi::Env env, Napi::Object exports) {
  Define(env, {
                  InstanceMethod<&Collection::GetMap>("map"),
                  InstanceMethod<&Collection::GetProgram>("program"),
                  InstanceAccessor<&Collection::GetMapNames>("mapNames"),
                  InstanceAccessor<&Collection::GetProgramNames>("programNames"),
                  InstanceMethod<&Collection::StructLayout>("structLayout"),
                  InstanceMethod<&Collection::EnumValues>("enumValues"),
              });
  exports.Set("loadCollection", Napi::Function::New<LoadCollection>(env, "loadCollection"));
}

Napi::Value Collection::LoadCollection(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  // Options first: reading them may run getters, and those could detach the array behind `elf`.
  std::optional<CollectionOptions> options = CollectionOptions::From(env, info[1]);
  if (!options) return {};
  std::optional<std::span<const uint8_t>> elf = BytesOf(env, info[0], "elf");
  if (!elf) return {};

  LibbpfLog log;
  bpf_object_open_opts open{};
  open.sz = sizeof(open);
  open.object_name = options->name.c_str();
  ObjectPointer object(bpf_object__open_mem(elf->data(), elf->size(), &open));
  if (!object) {
    ThrowErrno(env, errno, "bpf_object__open_mem", options->name + " (" + log.FirstWarning() + ")");
    return {};
  }
  if (!options->ApplyTo(env, object.get())) return {};
  if (bpf_object__load(object.get()) != 0) {
    ThrowLoadError(env, errno, log, options->name);
    return {};
  }
  Collection* collection = Create(env);
  if (collection == nullptr) return {};
  collection->name_ = options->name;
  collection->object_ = std::move(object);
  collection->Opened();
  return collection->Value();
}

Napi::Value Collection::GetMap(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!Usable(info)) return {};
  std::optional<std::string> name = StringOf(env, info[0], "name");
  if (!name) return {};
  int fd = bpf_object__find_map_fd_by_name(object_.get(), name->c_str());
  if (fd < 0) {
    ThrowErrno(env, ENOENT, "map", name_ + "/" + *name);
    return {};
  }
  UniqueFd copy = Duplicate(env, fd);
  if (!copy) return {};
  return Map::Wrap(env, std::move(copy));
}

Napi::Value Collection::GetProgram(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!Usable(info)) return {};
  std::optional<std::string> name = StringOf(env, info[0], "name");
  if (!name) return {};
  bpf_program* program = bpf_object__find_program_by_name(object_.get(), name->c_str());
  int fd = program != nullptr ? bpf_program__fd(program) : -1;
  if (fd < 0) {
    ThrowErrno(env, ENOENT, "program", name_ + "/" + *name);
    return {};
  }
  UniqueFd copy = Duplicate(env, fd);
  if (!copy) return {};
  return Program::Wrap(env, std::move(copy));
}

Napi::Value Collection::GetMapNames(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!Usable(info)) return {};
  Napi::Array names = Napi::Array::New(env);
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object_.get()) names.Set(names.Length(), Napi::String::New(env, bpf_map__name(map)));
  return names;
}

Napi::Value Collection::GetProgramNames(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!Usable(info)) return {};
  Napi::Array names = Napi::Array::New(env);
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object_.get()) {
    if (bpf_program__fd(program) < 0) continue;
    names.Set(names.Length(), Napi::String::New(env, bpf_program__name(program)));
  }
  return names;
}

Napi::Value Collection::StructLayout(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!Usable(info)) return {};
  std::optional<std::string> name = StringOf(env, info[0], "name");
  if (!name) return {};
  return StructLayoutOf(env, bpf_object__btf(object_.get()), *name);
}

Napi::Value Collection::EnumValues(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!Usable(info)) return {};
  std::optional<std::string> name = StringOf(env, info[0], "name");
  if (!name) return {};
  return EnumValuesOf(env, bpf_object__btf(object_.get()), *name);
}

}  // namespace aq

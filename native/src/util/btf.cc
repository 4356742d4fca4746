#include "util/btf.h"

#include <string_view>

namespace aq {
namespace {

std::string_view NameAt(const btf* types, __u32 offset) {
  const char* name = btf__name_by_offset(types, offset);
  return name != nullptr ? name : "";
}

std::span<uint8_t> VariableIn(const btf* types, const btf_type* section, std::span<uint8_t> content, const std::string& name) {
  const btf_var_secinfo* variables = btf_var_secinfos(section);
  for (int i = 0; i < btf_vlen(section); i++) {
    const btf_type* variable = btf__type_by_id(types, variables[i].type);
    if (variable == nullptr || NameAt(types, variable->name_off) != name) continue;
    size_t offset = variables[i].offset;
    size_t size = variables[i].size;
    if (offset > content.size() || size > content.size() - offset) return {};
    return content.subspan(offset, size);
  }
  return {};
}

}  // namespace

Napi::Value StructLayoutOf(Napi::Env env, const btf* types, const std::string& name) {
  int id = types != nullptr ? btf__find_by_name_kind(types, name.c_str(), BTF_KIND_STRUCT) : -1;
  if (id < 0) return env.Null();
  const btf_type* type = btf__type_by_id(types, static_cast<__u32>(id));
  Napi::Array members = Napi::Array::New(env, btf_vlen(type));
  for (__u32 i = 0; i < btf_vlen(type); i++) {
    const btf_member& member = btf_members(type)[i];
    Napi::Object object = Napi::Object::New(env);
    object.Set("name", Napi::String::New(env, std::string(NameAt(types, member.name_off))));
    object.Set("offset", Napi::Number::New(env, btf_member_bit_offset(type, i) / 8));
    // Negative for a type without size, such as a flexible array of an incomplete type.
    __s64 size = btf__resolve_size(types, member.type);
    object.Set("size", Napi::Number::New(env, size < 0 ? 0 : static_cast<double>(size)));
    members.Set(i, object);
  }
  Napi::Object layout = Napi::Object::New(env);
  layout.Set("size", Napi::Number::New(env, type->size));
  layout.Set("members", members);
  return layout;
}

Napi::Value EnumValuesOf(Napi::Env env, const btf* types, const std::string& name) {
  int id = types != nullptr ? btf__find_by_name_kind(types, name.c_str(), BTF_KIND_ENUM) : -1;
  if (id < 0 && types != nullptr) id = btf__find_by_name_kind(types, name.c_str(), BTF_KIND_ENUM64);
  if (id < 0) return env.Null();
  const btf_type* type = btf__type_by_id(types, static_cast<__u32>(id));
  Napi::Object values = Napi::Object::New(env);
  // The kind flag of an enum says that its values are signed.
  bool is_signed = btf_kflag(type);
  for (int i = 0; i < btf_vlen(type); i++) {
    __u32 name_offset = 0;
    double value = 0;
    if (btf_is_enum64(type)) {
      const struct btf_enum64& entry = btf_enum64(type)[i];
      __u64 bits = btf_enum64_value(&entry);
      value = is_signed ? static_cast<double>(static_cast<__s64>(bits)) : static_cast<double>(bits);
      name_offset = entry.name_off;
    } else {
      const struct btf_enum& entry = btf_enum(type)[i];
      value = is_signed ? entry.val : static_cast<double>(static_cast<__u32>(entry.val));
      name_offset = entry.name_off;
    }
    values.Set(std::string(NameAt(types, name_offset)), Napi::Number::New(env, value));
  }
  return values;
}

bool IsReadOnlyData(const bpf_map* map) {
  return bpf_map__is_internal(map) && std::string_view(bpf_map__name(map)).find(".rodata") != std::string_view::npos;
}

std::span<uint8_t> ConstantOf(bpf_object* object, const std::string& name) {
  const btf* types = bpf_object__btf(object);
  if (types == nullptr) return {};
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    if (!IsReadOnlyData(map)) continue;
    const btf_type* section = btf__type_by_id(types, bpf_map__btf_value_type_id(map));
    if (section == nullptr || !btf_is_datasec(section)) continue;
    size_t size = 0;
    // libbpf hands out the memory that it copies into the kernel's map at load: writing to it is what its skeletons do.
    auto* content = static_cast<uint8_t*>(const_cast<void*>(bpf_map__initial_value(map, &size)));
    if (content == nullptr) continue;
    std::span<uint8_t> variable = VariableIn(types, section, {content, size}, name);
    if (!variable.empty()) return variable;
  }
  return {};
}

}  // namespace aq

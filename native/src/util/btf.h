// Questions to the type information (BTF) of a BPF object.
#pragma once

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <napi.h>

#include <cstdint>
#include <span>
#include <string>

namespace aq {

// StructLayout of native/index.ts; null when there is no such struct. Bit-fields are shown at the byte where they start.
Napi::Value StructLayoutOf(Napi::Env env, const btf* types, const std::string& name);

// Enumerators by name; null when there is no such enum.
Napi::Value EnumValuesOf(Napi::Env env, const btf* types, const std::string& name);

bool IsReadOnlyData(const bpf_map* map);

// The bytes of a `const volatile` variable in the object's .rodata, to be written between open and load; empty when there
// is no such variable.
std::span<uint8_t> ConstantOf(bpf_object* object, const std::string& name);

}  // namespace aq

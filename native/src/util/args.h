// Argument checks. Each returns std::nullopt with a TypeError pending when the argument does not fit: the caller returns.
#pragma once

#include <napi.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>

#include "util/error.h"

namespace aq {

inline std::optional<std::string> StringOf(Napi::Env env, Napi::Value value, const char* name) {
  if (value.IsString()) return value.As<Napi::String>().Utf8Value();
  ThrowArgument(env, std::string(name) + " must be a string");
  return std::nullopt;
}

// As StringOf, for paths and names that reach the kernel as C strings: an embedded NUL would cut them short.
inline std::optional<std::string> PathOf(Napi::Env env, Napi::Value value, const char* name) {
  std::optional<std::string> text = StringOf(env, value, name);
  if (!text) return std::nullopt;
  if (!text->empty() && text->find('\0') == std::string::npos) return text;
  ThrowArgument(env, std::string(name) + " must be non-empty and without NUL");
  return std::nullopt;
}

// An integer within [low, high]; both must be exact in a double.
inline std::optional<int64_t> IntegerOf(Napi::Env env, Napi::Value value, const char* name, int64_t low, int64_t high) {
  if (value.IsNumber()) {
    double number = value.As<Napi::Number>().DoubleValue();
    if (std::trunc(number) == number && number >= static_cast<double>(low) && number <= static_cast<double>(high)) {
      return static_cast<int64_t>(number);
    }
  }
  ThrowArgument(env, std::string(name) + " must be an integer from " + std::to_string(low) + " to " + std::to_string(high));
  return std::nullopt;
}

inline std::optional<int> FdOf(Napi::Env env, Napi::Value value, const char* name) {
  std::optional<int64_t> fd = IntegerOf(env, value, name, 0, std::numeric_limits<int>::max());
  if (!fd) return std::nullopt;
  return static_cast<int>(*fd);
}

inline std::optional<bool> BooleanOf(Napi::Env env, Napi::Value value, const char* name) {
  if (value.IsBoolean()) return value.As<Napi::Boolean>().Value();
  ThrowArgument(env, std::string(name) + " must be a boolean");
  return std::nullopt;
}

// The bytes stay valid until control returns to JavaScript.
inline std::optional<std::span<const uint8_t>> BytesOf(Napi::Env env, Napi::Value value, const char* name) {
  if (value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array) {
    Napi::Uint8Array array = value.As<Napi::Uint8Array>();
    return std::span<const uint8_t>(array.Data(), array.ByteLength());
  }
  ThrowArgument(env, std::string(name) + " must be a Uint8Array");
  return std::nullopt;
}

inline std::optional<Napi::Object> ObjectOf(Napi::Env env, Napi::Value value, const char* name) {
  if (value.IsObject() && !value.IsArray() && !value.IsFunction()) return value.As<Napi::Object>();
  ThrowArgument(env, std::string(name) + " must be an object");
  return std::nullopt;
}

inline std::optional<Napi::Function> FunctionOf(Napi::Env env, Napi::Value value, const char* name) {
  if (value.IsFunction()) return value.As<Napi::Function>();
  ThrowArgument(env, std::string(name) + " must be a function");
  return std::nullopt;
}

// A copy as a plain Uint8Array (not a Buffer) with an ArrayBuffer of its own.
inline Napi::Value CopyBytes(Napi::Env env, const void* data, size_t length) {
  Napi::Uint8Array array = Napi::Uint8Array::New(env, length);
  if (length > 0) std::memcpy(array.Data(), data, length);
  return array;
}

}  // namespace aq

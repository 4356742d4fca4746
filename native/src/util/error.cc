#include "util/error.h"

#include <cctype>
#include <cerrno>
#include <cstring>

namespace aq {
namespace {

// Kernel-internal, from include/linux/errno.h: bpf(2) returns it for operations that a map or program type lacks.
constexpr int kEnotsupp = 524;

std::string ErrnoText(int number) {
  const char* known = strerrordesc_np(number);
  if (number == kEnotsupp) known = "operation is not supported";
  if (known == nullptr) return "unknown error " + std::to_string(number);
  std::string text = known;
  if (!text.empty()) text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

Napi::Error Make(Napi::Env env, int number, const std::string& code, const std::string& syscall, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  Napi::Object object = error.Value();
  object.Set("errno", Napi::Number::New(env, number));
  object.Set("code", Napi::String::New(env, code));
  object.Set("syscall", Napi::String::New(env, syscall));
  return error;
}

}  // namespace

std::string ErrnoName(int positive_errno) {
  if (positive_errno == kEnotsupp) return "ENOTSUPP";
  const char* name = strerrorname_np(positive_errno);
  return name != nullptr ? name : "E" + std::to_string(positive_errno);
}

Napi::Error MakeErrno(Napi::Env env, int positive_errno, const std::string& syscall, const std::string& detail) {
  std::string code = ErrnoName(positive_errno);
  std::string message = syscall + (detail.empty() ? "" : " " + detail) + ": " + code + ": " + ErrnoText(positive_errno);
  return Make(env, positive_errno, code, syscall, message);
}

void ThrowErrno(Napi::Env env, int positive_errno, const std::string& syscall, const std::string& detail) {
  MakeErrno(env, positive_errno, syscall, detail).ThrowAsJavaScriptException();
}

void ThrowClosed(Napi::Env env, const std::string& what) {
  Make(env, EBADF, "ERR_CLOSED", what, what + " is closed").ThrowAsJavaScriptException();
}

void ThrowArgument(Napi::Env env, const std::string& message) {
  Napi::TypeError error = Napi::TypeError::New(env, message);
  error.Value().Set("code", Napi::String::New(env, "ERR_INVALID_ARG_TYPE"));
  error.ThrowAsJavaScriptException();
}

}  // namespace aq

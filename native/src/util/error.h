// Failures as JS errors: `NativeError` of native/index.ts. C++ exceptions are off, so a caller returns after a Throw*.
#pragma once

#include <napi.h>

#include <string>

namespace aq {

// Symbolic name of an errno ("EPERM"); also of 524 (ENOTSUPP), which the kernel leaks and libc does not know.
std::string ErrnoName(int positive_errno);

// An Error with message `<syscall> <detail>: <CODE>: <text>` and the properties errno, code and syscall.
Napi::Error MakeErrno(Napi::Env env, int positive_errno, const std::string& syscall, const std::string& detail = "");

void ThrowErrno(Napi::Env env, int positive_errno, const std::string& syscall, const std::string& detail = "");

// Code ERR_CLOSED, errno EBADF: `what` ("BpfMap") was closed before the call.
void ThrowClosed(Napi::Env env, const std::string& what);

// A TypeError with code ERR_INVALID_ARG_TYPE.
void ThrowArgument(Napi::Env env, const std::string& message);

}  // namespace aq

// IPv4 and IPv6 endpoints between text and sockaddr. IPv4 is dotted everywhere outside: a v4-mapped address that the kernel
// reports is unmapped.
#pragma once

#include <napi.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>

namespace aq {

class SocketAddress {
 public:
  SocketAddress() : v6_{} {}

  // Nothing when `text` is not an address. A v4-mapped one is taken as IPv4.
  static std::optional<SocketAddress> Parse(const std::string& text, uint16_t port);

  // AF_INET or AF_INET6.
  static SocketAddress From(const sockaddr& address);

  int family() const { return plain_.sa_family; }
  uint16_t port() const;
  void set_port(uint16_t port);
  const sockaddr* get() const { return &plain_; }
  sockaddr* out() { return &plain_; }
  socklen_t size() const { return family() == AF_INET ? sizeof(v4_) : sizeof(v6_); }
  static constexpr socklen_t kCapacity = sizeof(sockaddr_in6);

  std::string Text() const;
  Napi::Value ToJs(Napi::Env env) const;
  // `{ address, port }`
  Napi::Value EndpointToJs(Napi::Env env) const;

 private:
  size_t Format(char* out) const;

  union {
    sockaddr plain_;
    sockaddr_in v4_;
    sockaddr_in6 v6_;
  };
};

// `bytes`: 4 for AF_INET, 16 for AF_INET6.
std::string AddressText(int family, const void* bytes);

// True when the whole text is an address; fills `bytes` (4 or 16) and gives the family, 0 otherwise.
int ParseAddress(const std::string& text, void* bytes);

}  // namespace aq

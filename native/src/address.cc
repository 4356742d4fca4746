#include "address.h"

#include <arpa/inet.h>

#include <cstring>

namespace aq {
namespace {

size_t PutByte(char* out, uint8_t value) {
  size_t length = 0;
  if (value >= 100) out[length++] = static_cast<char>('0' + value / 100);
  if (value >= 10) out[length++] = static_cast<char>('0' + value / 10 % 10);
  out[length++] = static_cast<char>('0' + value % 10);
  return length;
}

// A third of inet_ntop's time; called for each connection, up to three times.
size_t FormatV4(const uint8_t* bytes, char* out) {
  size_t length = PutByte(out, bytes[0]);
  for (int i = 1; i < 4; i++) {
    out[length++] = '.';
    length += PutByte(out + length, bytes[i]);
  }
  return length;
}

size_t FormatBytes(int family, const uint8_t* bytes, char* out) {
  if (family == AF_INET) return FormatV4(bytes, out);
  if (IN6_IS_ADDR_V4MAPPED(reinterpret_cast<const in6_addr*>(bytes))) return FormatV4(bytes + 12, out);
  inet_ntop(AF_INET6, bytes, out, INET6_ADDRSTRLEN);
  return std::strlen(out);
}

}  // namespace

std::optional<SocketAddress> SocketAddress::Parse(const std::string& text, uint16_t port) {
  SocketAddress address;
  uint8_t bytes[16];
  int family = ParseAddress(text, bytes);
  if (family == 0) return std::nullopt;
  if (family == AF_INET) {
    address.v4_.sin_family = AF_INET;
    address.v4_.sin_port = htons(port);
    std::memcpy(&address.v4_.sin_addr, bytes, 4);
  } else {
    address.v6_.sin6_family = AF_INET6;
    address.v6_.sin6_port = htons(port);
    std::memcpy(&address.v6_.sin6_addr, bytes, 16);
  }
  return address;
}

SocketAddress SocketAddress::From(const sockaddr& address) {
  SocketAddress copy;
  std::memcpy(&copy.v6_, &address, address.sa_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
  return copy;
}

uint16_t SocketAddress::port() const { return ntohs(family() == AF_INET ? v4_.sin_port : v6_.sin6_port); }

void SocketAddress::set_port(uint16_t port) {
  (family() == AF_INET ? v4_.sin_port : v6_.sin6_port) = htons(port);
}

size_t SocketAddress::Format(char* out) const {
  const void* bytes = family() == AF_INET ? static_cast<const void*>(&v4_.sin_addr) : &v6_.sin6_addr;
  return FormatBytes(family(), static_cast<const uint8_t*>(bytes), out);
}

std::string SocketAddress::Text() const {
  char text[INET6_ADDRSTRLEN];
  return std::string(text, Format(text));
}

Napi::Value SocketAddress::ToJs(Napi::Env env) const {
  char text[INET6_ADDRSTRLEN];
  size_t length = Format(text);
  napi_value value = nullptr;
  napi_create_string_latin1(env, text, length, &value);
  return Napi::Value(env, value);
}

Napi::Value SocketAddress::EndpointToJs(Napi::Env env) const {
  Napi::Object endpoint = Napi::Object::New(env);
  endpoint.Set("address", ToJs(env));
  endpoint.Set("port", Napi::Number::New(env, port()));
  return endpoint;
}

std::string AddressText(int family, const void* bytes) {
  char text[INET6_ADDRSTRLEN];
  return std::string(text, FormatBytes(family, static_cast<const uint8_t*>(bytes), text));
}

int ParseAddress(const std::string& text, void* bytes) {
  // An embedded NUL would cut the text short.
  if (text.size() >= INET6_ADDRSTRLEN || text.find('\0') != std::string::npos) return 0;
  if (inet_pton(AF_INET, text.c_str(), bytes) == 1) return AF_INET;
  in6_addr address;
  if (inet_pton(AF_INET6, text.c_str(), &address) != 1) return 0;
  if (IN6_IS_ADDR_V4MAPPED(&address)) {
    std::memcpy(bytes, address.s6_addr + 12, 4);
    return AF_INET;
  }
  std::memcpy(bytes, &address, sizeof(address));
  return AF_INET6;
}

}  // namespace aq

// Netlink sockets in any namespace, for rtnetlink and sock_diag.
#pragma once

#include <linux/netlink.h>
#include <napi.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "util/fd.h"

namespace aq {

struct Net;

// One request with its fixed header and attributes.
class NetlinkMessage {
 public:
  NetlinkMessage(uint16_t type, uint16_t flags, const void* header, size_t size);
  void Add(uint16_t type, const void* data, size_t size);
  void AddU32(uint16_t type, uint32_t value) { Add(type, &value, sizeof(value)); }
  void AddU8(uint16_t type, uint8_t value) { Add(type, &value, sizeof(value)); }
  nlmsghdr* Finish();

 private:
  void Append(const void* data, size_t size);
  std::vector<uint8_t> bytes_;
};

// A netlink socket of another namespace. Calls give 0 or an errno; `detail` is the kernel's own explanation (ext ack).
class NetlinkSocket {
 public:
  int Open(const Net& net, int netns, int protocol);
  // Waits for the acknowledgement.
  int Request(NetlinkMessage* message);
  // Calls `visit` for each answer. EINTR when the table changed meanwhile.
  int Dump(NetlinkMessage* message, const std::function<void(const nlmsghdr&)>& visit);
  const std::string& detail() const { return detail_; }

 private:
  int Send(NetlinkMessage* message);
  int Receive(const std::function<void(const nlmsghdr&)>* visit);
  int ParseError(const nlmsghdr& header);

  UniqueFd fd_;
  uint32_t sequence_ = 0;
  std::string detail_;
  std::vector<uint8_t> buffer_;
};

// Attributes that follow a fixed header of `size` bytes.
void ForEachAttribute(const nlmsghdr& message, size_t size,
                      const std::function<void(uint16_t type, const uint8_t* data, size_t size)>& visit);
uint32_t U32Of(const uint8_t* data, size_t size);

}  // namespace aq

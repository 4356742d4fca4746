#include "netlink.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "net.h"
#include "netns.h"

namespace aq {
namespace {

constexpr size_t kReceiveBytes = 64 * 1024;

}  // namespace

NetlinkMessage::NetlinkMessage(uint16_t type, uint16_t flags, const void* header, size_t size) {
  nlmsghdr head{};
  head.nlmsg_type = type;
  head.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
  Append(&head, sizeof(head));
  Append(header, size);
}

void NetlinkMessage::Append(const void* data, size_t size) {
  size_t start = bytes_.size();
  bytes_.resize(start + NLMSG_ALIGN(size));
  std::memcpy(bytes_.data() + start, data, size);
}

void NetlinkMessage::Add(uint16_t type, const void* data, size_t size) {
  nlattr head{static_cast<uint16_t>(NLA_HDRLEN + size), type};
  Append(&head, sizeof(head));
  Append(data, size);
}

nlmsghdr* NetlinkMessage::Finish() {
  auto* head = reinterpret_cast<nlmsghdr*>(bytes_.data());
  head->nlmsg_len = static_cast<uint32_t>(bytes_.size());
  return head;
}

int NetlinkSocket::Open(const Net& net, int netns, int protocol) {
  NetnsScope scope(net, netns);
  if (scope.error() != 0) return scope.error();
  fd_.reset(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!fd_) return errno;
  int on = 1;
  // Older kernels lack some of these: then errors come without words, and dumps are filtered here alone.
  for (int option : {NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK}) {
    setsockopt(fd_.get(), SOL_NETLINK, option, &on, sizeof(on));
  }
  buffer_.resize(kReceiveBytes);
  return 0;
}

int NetlinkSocket::Send(NetlinkMessage* message) {
  nlmsghdr* head = message->Finish();
  head->nlmsg_seq = ++sequence_;
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  ssize_t sent = sendto(fd_.get(), head, head->nlmsg_len, 0, reinterpret_cast<sockaddr*>(&kernel), sizeof(kernel));
  return sent < 0 ? errno : 0;
}

int NetlinkSocket::Request(NetlinkMessage* message) {
  message->Finish()->nlmsg_flags |= NLM_F_ACK;
  int error = Send(message);
  return error != 0 ? error : Receive(nullptr);
}

int NetlinkSocket::Dump(NetlinkMessage* message, const std::function<void(const nlmsghdr&)>& visit) {
  message->Finish()->nlmsg_flags |= NLM_F_DUMP;
  int error = Send(message);
  return error != 0 ? error : Receive(&visit);
}

// The kernel answers in the sending system call, so this does not wait for anyone else.
int NetlinkSocket::Receive(const std::function<void(const nlmsghdr&)>* visit) {
  bool interrupted = false;
  for (;;) {
    ssize_t length = recv(fd_.get(), buffer_.data(), buffer_.size(), MSG_TRUNC);
    if (length < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    if (static_cast<size_t>(length) > buffer_.size()) return EMSGSIZE;
    auto left = static_cast<size_t>(length);
    for (auto* head = reinterpret_cast<nlmsghdr*>(buffer_.data()); NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
      if (head->nlmsg_seq != sequence_) continue;
      if (head->nlmsg_flags & NLM_F_DUMP_INTR) interrupted = true;
      if (head->nlmsg_type == NLMSG_ERROR || head->nlmsg_type == NLMSG_DONE) {
        int error = ParseError(*head);
        return error == 0 && interrupted ? EINTR : error;
      }
      if (visit != nullptr) (*visit)(*head);
    }
  }
}

// NLMSG_ERROR and, when a dump fails half-way, NLMSG_DONE begin with the negative errno.
int NetlinkSocket::ParseError(const nlmsghdr& header) {
  detail_.clear();
  int error = 0;
  if (header.nlmsg_len < NLMSG_LENGTH(sizeof(error))) return 0;
  std::memcpy(&error, NLMSG_DATA(&header), sizeof(error));
  if (error == 0 || !(header.nlmsg_flags & NLM_F_ACK_TLVS)) return -error;
  size_t fixed = sizeof(error);
  if (header.nlmsg_type == NLMSG_ERROR) {
    auto* answer = static_cast<const nlmsgerr*>(NLMSG_DATA(&header));
    fixed = sizeof(nlmsgerr);
    if (!(header.nlmsg_flags & NLM_F_CAPPED)) fixed += NLMSG_ALIGN(answer->msg.nlmsg_len - NLMSG_HDRLEN);
  }
  ForEachAttribute(header, fixed, [this](uint16_t type, const uint8_t* data, size_t size) {
    if (type == NLMSGERR_ATTR_MSG) detail_.assign(reinterpret_cast<const char*>(data), strnlen(reinterpret_cast<const char*>(data), size));
  });
  return -error;
}

void ForEachAttribute(const nlmsghdr& message, size_t size,
                      const std::function<void(uint16_t, const uint8_t*, size_t)>& visit) {
  size_t offset = NLMSG_HDRLEN + NLMSG_ALIGN(size);
  auto* bytes = reinterpret_cast<const uint8_t*>(&message);
  while (offset + NLA_HDRLEN <= message.nlmsg_len) {
    auto* attribute = reinterpret_cast<const nlattr*>(bytes + offset);
    if (attribute->nla_len < NLA_HDRLEN || offset + attribute->nla_len > message.nlmsg_len) return;
    visit(attribute->nla_type & NLA_TYPE_MASK, bytes + offset + NLA_HDRLEN, attribute->nla_len - NLA_HDRLEN);
    offset += NLA_ALIGN(attribute->nla_len);
  }
}

uint32_t U32Of(const uint8_t* data, size_t size) {
  uint32_t value = 0;
  if (size >= sizeof(value)) std::memcpy(&value, data, sizeof(value));
  return value;
}

}  // namespace aq

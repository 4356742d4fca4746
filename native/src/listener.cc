#include "listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

#include "address.h"
#include "net.h"
#include "netns.h"
#include "util/args.h"
#include "util/error.h"

namespace aq {
namespace {

constexpr uint64_t kPauseMs = 100;

bool Enable(int fd, int level, int name) {
  int on = 1;
  return setsockopt(fd, level, name, &on, sizeof(on)) == 0;
}

// Gives the failed call, or null. Accepted sockets inherit TCP_NODELAY and SO_OOBINLINE, which saves their system calls;
// in-line urgent data is never skipped by a read.
const char* Prepare(int fd, const SocketAddress& address, bool transparent) {
  bool v6 = address.family() == AF_INET6;
  int off = 0;
  if (!Enable(fd, SOL_SOCKET, SO_REUSEADDR)) return "setsockopt(SO_REUSEADDR)";
  if (!Enable(fd, SOL_SOCKET, SO_OOBINLINE)) return "setsockopt(SO_OOBINLINE)";
  if (!Enable(fd, IPPROTO_TCP, TCP_NODELAY)) return "setsockopt(TCP_NODELAY)";
  if (v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) != 0) return "setsockopt(IPV6_V6ONLY)";
  if (transparent && v6 && !Enable(fd, IPPROTO_IPV6, IPV6_TRANSPARENT)) return "setsockopt(IPV6_TRANSPARENT)";
  if (transparent && !Enable(fd, IPPROTO_IP, IP_TRANSPARENT)) return "setsockopt(IP_TRANSPARENT)";
  return bind(fd, address.get(), address.size()) == 0 ? nullptr : "bind";
}

}  // namespace

// (netns, address, port, backlog, transparent, batch, onAccept, onError)
Napi::Value Listener::Listen(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Net& net = Net::Of(info);
  auto netns = FdOf(env, info[0], "netns");
  if (!netns) return env.Undefined();
  auto text = StringOf(env, info[1], "address");
  if (!text) return env.Undefined();
  auto port = IntegerOf(env, info[2], "port", 0, 65535);
  if (!port) return env.Undefined();
  auto backlog = IntegerOf(env, info[3], "backlog", 1, 1 << 20);
  if (!backlog) return env.Undefined();
  auto transparent = BooleanOf(env, info[4], "transparent");
  if (!transparent) return env.Undefined();
  auto batch = IntegerOf(env, info[5], "batch", 1, 1 << 16);
  if (!batch) return env.Undefined();
  auto on_accept = FunctionOf(env, info[6], "onAccept");
  if (!on_accept) return env.Undefined();
  auto on_error = FunctionOf(env, info[7], "onError");
  if (!on_error) return env.Undefined();
  auto address = SocketAddress::Parse(*text, static_cast<uint16_t>(*port));
  if (!address) return ThrowErrno(env, EINVAL, "listen", "address '" + *text + "'"), env.Undefined();
  std::string detail = *text + " port " + std::to_string(*port);

  UniqueFd fd;
  {
    NetnsScope scope(net, *netns);
    if (scope.error() != 0) return ThrowErrno(env, scope.error(), "setns"), env.Undefined();
    fd.reset(socket(address->family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
    if (!fd) return ThrowErrno(env, errno, "socket"), env.Undefined();
  }
  const char* failed = Prepare(fd.get(), *address, *transparent);
  if (failed != nullptr) return ThrowErrno(env, errno, failed, detail), env.Undefined();
  if (listen(fd.get(), static_cast<int>(*backlog)) != 0) return ThrowErrno(env, errno, "listen", detail), env.Undefined();
  SocketAddress bound;
  socklen_t size = SocketAddress::kCapacity;
  if (getsockname(fd.get(), bound.out(), &size) != 0) return ThrowErrno(env, errno, "getsockname"), env.Undefined();

  Listener* listener = Create(env);
  if (listener == nullptr) return env.Undefined();
  net.reactor.Register(listener);
  // Level-triggered: what one batch leaves is reported again, after the other sockets have had their turn.
  int error = net.reactor.Watch(listener, fd.get(), 0, EPOLLIN);
  if (error != 0) {
    net.reactor.Unregister(listener);
    return ThrowErrno(env, error, "epoll_ctl"), env.Undefined();
  }
  listener->net_ = &net;
  listener->fd_ = std::move(fd);
  listener->port_ = bound.port();
  listener->batch_ = static_cast<int>(*batch);
  listener->on_accept_ = Napi::Persistent(*on_accept);
  listener->on_error_ = Napi::Persistent(*on_error);
  listener->Opened();
  listener->Ref();
  return listener->Value();
}

void Listener::Release() {
  // Not registered when the environment's end has come first.
  if (reactor_ != nullptr) {
    reactor_->Unwatch(fd_.get());
    reactor_->Unregister(this);
    Unref();
  }
  fd_.reset();
  on_accept_.Reset();
  on_error_.Reset();
}

Napi::Value Listener::Fd(const Napi::CallbackInfo& info) {
  if (!Usable(info)) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), fd_.get());
}

Napi::Value Listener::Port(const Napi::CallbackInfo& info) {
  if (!Usable(info)) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), port_);
}

void Listener::OnEvents(uint32_t, unsigned) {
  net_->reactor.EnterJs();
  // A callback may close the listener, after which nothing but this keeps the object.
  [[maybe_unused]] Napi::Object self = Value();
  for (int i = 0; i < batch_ && fd_; i++) {
    SocketAddress remote;
    socklen_t size = SocketAddress::kCapacity;
    int fd = accept4(fd_.get(), remote.out(), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      Deliver(fd, remote);
    } else if (errno == EAGAIN) {
      return;
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM || errno == EINVAL) {
      return Pause(errno);
    }
    // Anything else is the fate of one connection that ended in the queue, see accept(2).
  }
}

void Listener::Deliver(int fd, const SocketAddress& remote) {
  Napi::Env env = net_->reactor.env();
  SocketAddress local;
  socklen_t size = SocketAddress::kCapacity;
  int mark = 0;
  socklen_t mark_size = sizeof(mark);
  if (getsockname(fd, local.out(), &size) != 0 || getsockopt(fd, SOL_SOCKET, SO_MARK, &mark, &mark_size) != 0) {
    ::close(fd);
    return;
  }
  bool delivered = net_->reactor.Call(
      net_->deliver_accepted,
                     {on_accept_.Value(), Napi::Number::New(env, fd), local.ToJs(env),
                      Napi::Number::New(env, local.port()), remote.ToJs(env), Napi::Number::New(env, remote.port()),
                      Napi::Number::New(env, static_cast<uint32_t>(mark))});
  if (!delivered) ::close(fd);
}

// Without a pause the loop would spin: the connections stay in the queue and the socket stays readable.
void Listener::Pause(int error) {
  net_->reactor.Rewatch(this, fd_.get(), 0, 0);
  net_->reactor.SetDeadline(this, net_->reactor.now_ms() + kPauseMs);
  net_->reactor.Call(on_error_, {MakeErrno(net_->reactor.env(), error, "accept4").Value()});
}

uint64_t Listener::OnDeadline(uint64_t) {
  net_->reactor.Rewatch(this, fd_.get(), 0, EPOLLIN);
  return 0;
}

void InitListener(Napi::Env env, Napi::Object raw, Net* net) {
  Listener::Define(env, {
                            Listener::InstanceAccessor<&Listener::Fd>("fd"),
                            Listener::InstanceAccessor<&Listener::Port>("port"),
                        });
  net->Export(env, raw, "listen", Listener::Listen);
}

}  // namespace aq

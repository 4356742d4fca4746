#include "connector.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

#include "net.h"
#include "netns.h"
#include "util/args.h"
#include "util/error.h"

namespace aq {

struct Connector::Wanted {
  int netns;
  SocketAddress to;
  std::optional<SocketAddress> from;
  bool transparent;
  uint32_t mark;
  uint64_t timeout_ms;
};

namespace {

// A foreign address comes with a foreign kernel that hands out ports of it too: were both to use one port towards the same
// destination, two connections of one namespace would have the same 4-tuple, and the second SYN would meet the first's
// socket. So the port is chosen here, below 32768, where no kernel picks one by default. IP_LOCAL_PORT_RANGE cannot do
// it: it only narrows the namespace's own range.
constexpr uint16_t kFirstForeignPort = 10240, kLastForeignPort = 32767;
constexpr int kForeignPortAttempts = 16;

uint16_t NextForeignPort(Net& net) {
  if (net.foreign_port < kFirstForeignPort || net.foreign_port > kLastForeignPort) {
    // Anywhere, so that a successor does not follow in its predecessor's steps.
    net.foreign_port = static_cast<uint16_t>(
        kFirstForeignPort + uv_hrtime() / 1000 % (kLastForeignPort - kFirstForeignPort + 1));
  }
  return net.foreign_port++;
}

bool Enable(int fd, int level, int name) {
  int on = 1;
  return setsockopt(fd, level, name, &on, sizeof(on)) == 0;
}

}  // namespace

Connector::~Connector() {
  if (reactor_ != nullptr) reactor_->Unregister(this);
}

// (netns, toAddress, toPort, fromAddress | null, fromPort, transparent, mark, timeoutMs, done)
Napi::Value Connector::Connect(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Net& net = Net::Of(info);
  auto netns = FdOf(env, info[0], "netns");
  if (!netns) return env.Undefined();
  auto to_text = StringOf(env, info[1], "to.address");
  if (!to_text) return env.Undefined();
  auto to_port = IntegerOf(env, info[2], "to.port", 0, 65535);
  if (!to_port) return env.Undefined();
  auto transparent = BooleanOf(env, info[5], "transparent");
  if (!transparent) return env.Undefined();
  auto mark = IntegerOf(env, info[6], "mark", 0, UINT32_MAX);
  if (!mark) return env.Undefined();
  auto timeout_ms = IntegerOf(env, info[7], "timeoutMs", 1, INT32_MAX);
  if (!timeout_ms) return env.Undefined();
  auto done = FunctionOf(env, info[8], "done");
  if (!done) return env.Undefined();
  auto to = SocketAddress::Parse(*to_text, static_cast<uint16_t>(*to_port));
  if (!to) return ThrowErrno(env, EINVAL, "connect", "address '" + *to_text + "'"), env.Undefined();
  std::optional<SocketAddress> from;
  if (!info[3].IsNull()) {
    auto from_text = StringOf(env, info[3], "from.address");
    if (!from_text) return env.Undefined();
    auto from_port = IntegerOf(env, info[4], "from.port", 0, 65535);
    if (!from_port) return env.Undefined();
    from = SocketAddress::Parse(*from_text, static_cast<uint16_t>(*from_port));
    if (!from || from->family() != to->family()) {
      return ThrowErrno(env, EINVAL, "connect", "from '" + *from_text + "' to '" + *to_text + "'"), env.Undefined();
    }
  }

  Napi::Object object = net.connector_class.New({});
  if (env.IsExceptionPending()) return env.Undefined();
  Connector* connector = Unwrap(object);
  connector->net_ = &net;
  connector->to_ = *to;
  connector->done_ = Napi::Persistent(*done);
  net.reactor.Register(connector);
  connector->Ref();
  connector->Start({*netns, *to, from, *transparent, static_cast<uint32_t>(*mark), static_cast<uint64_t>(*timeout_ms)});
  return object;
}

void Connector::Start(Wanted wanted) {
  Reactor& reactor = net_->reactor;
  bool choose_port = wanted.transparent && wanted.from && wanted.from->port() == 0;
  const char* syscall = nullptr;
  int error = 0;
  for (int attempt = 0; attempt < kForeignPortAttempts; attempt++) {
    if (choose_port) wanted.from->set_port(NextForeignPort(*net_));
    error = Open(wanted, &syscall);
    // Somebody listens on it, or the 4-tuple is still in use.
    if (!choose_port || (error != EADDRINUSE && error != EADDRNOTAVAIL)) break;
  }
  if (error == 0 || error != EINPROGRESS) {
    early_error_ = error;
    early_syscall_ = syscall;
    return reactor.Defer(this);
  }
  error = reactor.Watch(this, fd_.get(), 0, EPOLLOUT | EPOLLET);
  if (error != 0) {
    early_error_ = error;
    early_syscall_ = "epoll_ctl";
    return reactor.Defer(this);
  }
  reactor.SetDeadline(this, reactor.fresh_now_ms() + wanted.timeout_ms);
}

// 0: connected; EINPROGRESS; or why not, and which call said so.
int Connector::Open(const Wanted& wanted, const char** syscall) {
  bool v6 = wanted.to.family() == AF_INET6;
  auto fail = [syscall](const char* name, int error) {
    *syscall = name;
    return error;
  };
  {
    NetnsScope scope(*net_, wanted.netns);
    if (scope.error() != 0) return fail("setns", scope.error());
    fd_.reset(socket(wanted.to.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
    if (!fd_) return fail("socket", errno);
  }
  int fd = fd_.get();
  if (!Enable(fd, IPPROTO_TCP, TCP_NODELAY)) return fail("setsockopt(TCP_NODELAY)", errno);
  if (!Enable(fd, SOL_SOCKET, SO_OOBINLINE)) return fail("setsockopt(SO_OOBINLINE)", errno);
  if (wanted.mark != 0 && setsockopt(fd, SOL_SOCKET, SO_MARK, &wanted.mark, sizeof(wanted.mark)) != 0) {
    return fail("setsockopt(SO_MARK)", errno);
  }
  if (wanted.transparent && !Enable(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT)) {
    return fail(v6 ? "setsockopt(IPV6_TRANSPARENT)" : "setsockopt(IP_TRANSPARENT)", errno);
  }
  if (wanted.from) {
    if (wanted.from->port() == 0) {
      // The port is then chosen at connect, for the whole 4-tuple: not one of 28,000 for all destinations.
      if (!Enable(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT)) return fail("setsockopt(IP_BIND_ADDRESS_NO_PORT)", errno);
    } else if (!Enable(fd, SOL_SOCKET, SO_REUSEADDR)) {
      // With it one port serves many destinations; connect still refuses a 4-tuple that exists.
      return fail("setsockopt(SO_REUSEADDR)", errno);
    }
    if (bind(fd, wanted.from->get(), wanted.from->size()) != 0) return fail("bind", errno);
  }
  if (connect(fd, wanted.to.get(), wanted.to.size()) == 0) return 0;
  if (errno != EINPROGRESS) return fail("connect", errno);
  // On one machine the handshake is over before connect returns; asking again is cheaper than a trip through epoll.
  if (connect(fd, wanted.to.get(), wanted.to.size()) == 0) return 0;
  return fail("connect", errno == EALREADY ? EINPROGRESS : errno);
}

void Connector::OnTurn() { Finish(early_error_, early_syscall_); }

void Connector::OnEvents(uint32_t, unsigned) {
  int error = 0;
  socklen_t size = sizeof(error);
  if (getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  reactor_->Unwatch(fd_.get());
  Finish(error, "connect");
}

uint64_t Connector::OnDeadline(uint64_t) {
  Finish(ETIMEDOUT, "connect");
  return 0;
}

void Connector::Finish(int error, const char* syscall) {
  Reactor& reactor = net_->reactor;
  Napi::Env env = reactor.env();
  reactor.EnterJs();
  [[maybe_unused]] Napi::Object self = Value();  // Forget leaves nothing else that keeps this object
  SocketAddress local;
  socklen_t size = SocketAddress::kCapacity;
  if (error == 0 && getsockname(fd_.get(), local.out(), &size) != 0) {
    error = errno;
    syscall = "getsockname";
  }
  UniqueFd fd = std::move(fd_);
  Napi::FunctionReference done = std::move(done_);
  Forget();
  if (error == 0) {
    bool delivered = reactor.Call(net_->deliver_connected, {done.Value(), Napi::Number::New(env, fd.get()),
                                                            local.ToJs(env), Napi::Number::New(env, local.port())});
    if (delivered) static_cast<void>(fd.release());
    return;
  }
  fd.reset();
  std::string detail = to_.Text() + " port " + std::to_string(to_.port());
  reactor.Call(done, {MakeErrno(env, error, syscall, detail).Value(), Napi::Number::New(env, -1), env.Null()});
}

void Connector::Forget() {
  reactor_->Unregister(this);
  Unref();
}

void Connector::Cancel(const Napi::CallbackInfo&) {
  if (reactor_ == nullptr) return;
  fd_.reset();
  done_.Reset();
  Forget();
}

void InitConnector(Napi::Env env, Napi::Object raw, Net* net) {
  net->connector_class = Napi::Persistent(
      Connector::DefineClass(env, "Connector", {Connector::InstanceMethod<&Connector::Cancel>("cancel")}));
  net->Export(env, raw, "connect", Connector::Connect);
}

}  // namespace aq

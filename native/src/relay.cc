// A relay's life as JavaScript sees it: start, counters, close, release, end. Its bytes: relay_pump.cc.
#include "relay.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "net.h"
#include "util/args.h"
#include "util/error.h"

namespace aq {
namespace {

constexpr uint32_t kInterest = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;

// The peer gets a RST, as does one whose connection ended by a RST.
void CloseWithReset(int fd) {
  linger now{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  close(fd);
}

}  // namespace

Relay::~Relay() {
  if (reactor_ != nullptr) reactor_->Unregister(this);
}

// (downstream, upstream, bufferBytes, idleTimeoutMs, onEnd). Owns the descriptors from its success on.
Napi::Value Relay::Start(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Net& net = Net::Of(info);
  auto downstream = FdOf(env, info[0], "downstream");
  if (!downstream) return env.Undefined();
  auto upstream = FdOf(env, info[1], "upstream");
  if (!upstream) return env.Undefined();
  auto buffer_bytes = IntegerOf(env, info[2], "bufferBytes", 1, 1 << 30);
  if (!buffer_bytes) return env.Undefined();
  auto idle_timeout_ms = IntegerOf(env, info[3], "idleTimeoutMs", 0, UINT32_MAX);
  if (!idle_timeout_ms) return env.Undefined();
  auto on_end = FunctionOf(env, info[4], "onEnd");
  if (!on_end) return env.Undefined();

  Napi::Object object = net.relay_class.New({});
  if (env.IsExceptionPending()) return env.Undefined();
  Relay* relay = Unwrap(object);
  Reactor& reactor = net.reactor;
  reactor.Register(relay);
  int error = reactor.Watch(relay, *downstream, kDownstream, kInterest);
  if (error == 0) {
    error = reactor.Watch(relay, *upstream, kUpstream, kInterest);
    if (error != 0) reactor.Unwatch(*downstream);
  }
  if (error != 0) {
    reactor.Unregister(relay);
    return ThrowErrno(env, error, "epoll_ctl", "relay"), env.Undefined();
  }
  relay->net_ = &net;
  relay->sides_[kDownstream].fd = *downstream;
  relay->sides_[kUpstream].fd = *upstream;
  relay->buffer_bytes_ = static_cast<uint32_t>(*buffer_bytes);
  relay->idle_timeout_ms_ = static_cast<uint32_t>(*idle_timeout_ms);
  relay->on_end_ = Napi::Persistent(*on_end);
  relay->last_moved_ms_ = reactor.fresh_now_ms();
  if (*idle_timeout_ms > 0) reactor.SetDeadline(relay, relay->last_moved_ms_ + *idle_timeout_ms);
  relay->Ref();
  return object;
}

void Relay::End(Cause cause, int error) {
  cause_ = cause;
  error_ = error;
  CloseSides(cause != Cause::kEof);
  Deliver();
}

void Relay::CloseSides(bool reset) {
  for (Side& side : sides_) {
    if (side.fd < 0) continue;
    if (reset) {
      CloseWithReset(side.fd);
    } else {
      close(side.fd);
    }
    side.fd = -1;
    side.held.reset();
  }
}

void Relay::Deliver() {
  static constexpr const char* kNames[] = {"eof", "downstream", "upstream", "idle", "closed"};
  Reactor& reactor = net_->reactor;
  Napi::Env env = reactor.env();
  reactor.EnterJs();
  [[maybe_unused]] Napi::Object self = Value();
  Napi::FunctionReference on_end = std::move(on_end_);
  reactor.Unregister(this);
  Unref();
  reactor.Call(net_->deliver_end,
               {on_end.Value(), Napi::Number::New(env, static_cast<double>(sides_[kDownstream].moved)),
                Napi::Number::New(env, static_cast<double>(sides_[kUpstream].moved)),
                Napi::String::New(env, kNames[static_cast<int>(cause_)]), Napi::Number::New(env, error_),
                Napi::String::New(env, error_ == 0 ? "" : ErrnoName(error_))});
}

Napi::Value Relay::BytesSent(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(sides_[kDownstream].moved));
}

Napi::Value Relay::BytesReceived(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(sides_[kUpstream].moved));
}

// FIN where nothing is missing from the stream. Held bytes that do not fit make a RST: a cut stream must not look whole.
// The receive queue is emptied, because close with unread bytes is a RST.
void Relay::FinishSides() {
  bool cut[2] = {false, false};
  for (unsigned from : {kDownstream, kUpstream}) {
    Side& source = sides_[from];
    if (!source.held) continue;
    size_t length = source.held_end - source.held_start;
    ssize_t written = send(sides_[from ^ 1].fd, source.held.get() + source.held_start, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (written > 0) source.moved += static_cast<uint64_t>(written);
    cut[from ^ 1] = written < 0 || static_cast<size_t>(written) < length;
    source.held.reset();
  }
  for (unsigned side : {kDownstream, kUpstream}) {
    int fd = sides_[side].fd;
    sides_[side].fd = -1;
    if (cut[side]) {
      CloseWithReset(fd);
      continue;
    }
    shutdown(fd, SHUT_WR);
    for (int i = 0; i < 64 && recv(fd, reactor_->scratch(), Reactor::kScratchBytes, MSG_DONTWAIT) > 0; i++) {
    }
    close(fd);
  }
}

// To disconnect sends the RST and leaves the rest of a close, half of its time, for when all have been told.
void Relay::Cut(const Napi::CallbackInfo&) {
  if (reactor_ == nullptr || Ended()) return;
  cut_ = true;
  reactor_->SetDeadline(this, 0);
  sockaddr nobody{};
  nobody.sa_family = AF_UNSPEC;
  connect(sides_[kDownstream].fd, &nobody, sizeof(nobody));
}

// 'reset' | 'finish'
void Relay::Close(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto how = StringOf(env, info[0], "how");
  if (!how) return;
  if (*how != "reset" && *how != "finish") return ThrowArgument(env, "how must be 'reset' or 'finish'");
  if (reactor_ == nullptr || sides_[kUpstream].fd < 0) return;
  cause_ = Cause::kClosed;
  error_ = 0;
  if (*how == "reset" || Ended()) {
    CloseSides(true);
  } else {
    FinishSides();
  }
  reactor_->SetDeadline(this, 0);
  reactor_->Defer(this);
}

Napi::Value Relay::Release(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (reactor_ == nullptr || Ended()) return ThrowClosed(env, "Relay"), env.Undefined();
  if (sides_[0].held || sides_[1].held || failed_side_ != kNeither) return env.Null();
  Napi::Object sockets = Napi::Object::New(env);
  sockets.Set("downstream", Napi::Number::New(env, sides_[kDownstream].fd));
  sockets.Set("upstream", Napi::Number::New(env, sides_[kUpstream].fd));
  for (Side& side : sides_) {
    reactor_->Unwatch(side.fd);
    side.fd = -1;
  }
  reactor_->Unregister(this);
  on_end_.Reset();
  Unref();
  return sockets;
}

// A RST: the stream is cut, and must not look whole.
void Relay::OnShutdown() {
  CloseSides(true);
}

void InitRelay(Napi::Env env, Napi::Object raw, Net* net) {
  net->relay_class = Napi::Persistent(Relay::DefineClass(env, "Relay",
                                                         {
                                                             Relay::InstanceMethod<&Relay::BytesSent>("bytesSent"),
                                                             Relay::InstanceMethod<&Relay::BytesReceived>("bytesReceived"),
                                                             Relay::InstanceMethod<&Relay::Cut>("cut"),
                                                             Relay::InstanceMethod<&Relay::Close>("close"),
                                                             Relay::InstanceMethod<&Relay::Release>("release"),
                                                         }));
  net->Export(env, raw, "relay", Relay::Start);
}

}  // namespace aq

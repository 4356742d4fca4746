#include "net.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "connector.h"
#include "fib_rule.h"
#include "interface_address.h"
#include "listener.h"
#include "local_route.h"
#include "netns.h"
#include "relay.h"
#include "sock_diag.h"
#include "socket_options.h"
#include "unix_socket.h"
#include "util/error.h"

namespace aq {
namespace {

// Objects are taken apart and put together in JavaScript: V8 does it inline, while each property through Node-API is a
// call and a string. It saves some 4 µs for each proxied connection.
constexpr char kGlue[] = R"js((raw) => ({
  listen: (o, batch, onAccept, onError) =>
    raw.listen(o.netns, o.address, o.port, o.backlog, o.transparent, batch, onAccept, onError),
  connect: (o, done) =>
    raw.connect(o.netns, o.to.address, o.to.port, o.from === null ? null : o.from.address,
      o.from === null ? 0 : o.from.port, o.transparent, o.mark, o.timeoutMs, done),
  relay: (downstream, upstream, o, onEnd) =>
    raw.relay(downstream, upstream, o.bufferBytes, o.idleTimeoutMs, onEnd),
  deliverAccepted: (onAccept, fd, localAddress, localPort, remoteAddress, remotePort, mark) =>
    onAccept({
      fd,
      local: { address: localAddress, port: localPort },
      remote: { address: remoteAddress, port: remotePort },
      mark,
    }),
  deliverConnected: (done, fd, address, port) => done(null, fd, { address, port }),
  deliverEnd: (onEnd, bytesSent, bytesReceived, cause, errno, code) =>
    onEnd({ bytesSent, bytesReceived, cause, errno, code }),
}))js";

Napi::FunctionReference Keep(Napi::Object glue, const char* name) {
  return Napi::Persistent(glue.Get(name).As<Napi::Function>());
}

}  // namespace

Net::Net(Napi::Env env) : reactor(env, [](void* net) { delete static_cast<Net*>(net); }, this) {
  if (env.IsExceptionPending()) return;
  home.reset(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  struct stat status;
  if (!home || fstat(home.get(), &status) != 0) {
    ThrowErrno(env, errno, "open", "/proc/thread-self/ns/net");
    return;
  }
  home_inode = status.st_ino;
  home_device = status.st_dev;
}

void Net::Export(Napi::Env env, Napi::Object exports, const char* name,
                 Napi::Value (*function)(const Napi::CallbackInfo&)) {
  exports.Set(name, Napi::Function::New(env, function, name, this));
}

void InitNet(Napi::Env env, Napi::Object exports) {
  auto* net = new Net(env);
  if (env.IsExceptionPending()) return;
  InitNetns(env, exports, net);
  InitSocketOptions(env, exports, net);
  InitUnixSocket(env, exports, net);
  InitFibRule(env, exports, net);
  InitLocalRoute(env, exports, net);
  InitInterfaceAddress(env, exports, net);
  InitSockDiag(env, exports, net);

  Napi::Object raw = Napi::Object::New(env);
  InitListener(env, raw, net);
  InitConnector(env, raw, net);
  InitRelay(env, raw, net);
  Napi::Value make_glue = env.RunScript(kGlue);
  if (env.IsExceptionPending()) return;
  Napi::Object glue = make_glue.As<Napi::Function>().Call({raw}).As<Napi::Object>();
  for (const char* name : {"listen", "connect", "relay"}) exports.Set(name, glue.Get(name));
  net->deliver_accepted = Keep(glue, "deliverAccepted");
  net->deliver_connected = Keep(glue, "deliverConnected");
  net->deliver_end = Keep(glue, "deliverEnd");
}

}  // namespace aq

#include "link.h"

#include <bpf/bpf.h>

#include <cerrno>

#include "program.h"
#include "util/args.h"
#include "util/kernel_object.h"

namespace aq {

void Link::Init(Napi::Env env, Napi::Object exports) {
  Define(env, {
                  InstanceAccessor<&Link::GetInfo>("info"),
                  InstanceMethod<&Link::Update>("update"),
                  InstanceMethod<&Link::PinAt>("pin"),
                  InstanceMethod<&Link::Unpin>("unpin"),
                  InstanceMethod<&Link::Detach>("detach"),
              });
  exports.Set("openPinnedLink", Napi::Function::New<OpenPinnedLink>(env, "openPinnedLink"));
}

Napi::Value Link::Wrap(Napi::Env env, UniqueFd fd, std::string pinned_at) {
  Link* link = Create(env);
  if (link == nullptr) return {};
  link->fd_ = std::move(fd);
  link->pinned_at_ = std::move(pinned_at);
  link->Opened();
  return link->Value();
}

Napi::Value Link::OpenPinnedLink(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::optional<std::string> path = PathOf(env, info[0], "path");
  if (!path) return {};
  UniqueFd fd = OpenPinned(env, *path, ObjectKind::kLink);
  if (!fd) return {};
  return Wrap(env, std::move(fd), *path);
}

Napi::Value Link::GetInfo(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!Usable(info)) return {};
  std::optional<bpf_link_info> found = InfoOf<bpf_link_info>(env, fd_.get());
  if (!found) return {};
  Napi::Object result = Napi::Object::New(env);
  result.Set("id", Napi::Number::New(env, found->id));
  result.Set("programId", Napi::Number::New(env, found->prog_id));
  result.Set("type", Napi::Number::New(env, found->type));
  // The kernel forgets the target of a link that it detached by itself.
  bool attached = found->type == BPF_LINK_TYPE_CGROUP  ? found->cgroup.cgroup_id != 0
                  : found->type == BPF_LINK_TYPE_NETNS ? found->netns.netns_ino != 0
                                                       : true;
  result.Set("attached", Napi::Boolean::New(env, attached));
  return result;
}

void Link::Update(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!Usable(info)) return;
  Program* program = Program::From(env, info[0], "program");
  if (program == nullptr) return;
  if (bpf_link_update(fd_.get(), program->fd(), nullptr) != 0) ThrowErrno(env, errno, "bpf(BPF_LINK_UPDATE)");
}

void Link::PinAt(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!Usable(info)) return;
  std::optional<std::string> path = PathOf(env, info[0], "path");
  if (path && Pin(env, fd_.get(), *path)) pinned_at_ = *path;
}

void Link::Unpin(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!Usable(info)) return;
  if (pinned_at_.empty()) return ThrowErrno(env, ENOENT, "unlink", "(link is not pinned)");
  if (unlink(pinned_at_.c_str()) != 0) return ThrowErrno(env, errno, "unlink", pinned_at_);
  pinned_at_.clear();
}

void Link::Detach(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!Usable(info)) return;
  if (bpf_link_detach(fd_.get()) != 0) ThrowErrno(env, errno, "bpf(BPF_LINK_DETACH)");
}

}  // namespace aq

// The bytes' way through a relay: reading, writing, holding, and what happens when a side fails.
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "relay.h"

namespace aq {
namespace {

// So that one bulk transfer leaves the others their turn.
constexpr size_t kBytesPerTurn = 512 * 1024;
// How long bytes that came before a RST may take to reach the other side; a reader that stalls holds it up no longer.
constexpr uint64_t kDrainMs = 1000;
constexpr uint64_t kDrainStepMs = 20;

// Bytes that the kernel has not sent yet; a RST would drop them.
bool Unsent(int fd) {
  int bytes = 0;
  return ioctl(fd, SIOCOUTQNSD, &bytes) == 0 && bytes > 0;
}


}  // namespace

void Relay::OnEvents(uint32_t events, unsigned side) {
  if (Ended()) return;
  Side& source = sides_[side];
  if (events & EPOLLERR) {
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(source.fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return Fail(side, error);
  }
  if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLPRI)) source.readable = true;
  if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLPRI)) source.read_to_end = true;
  Advance();
}

void Relay::OnTurn() {
  if (Ended()) return Deliver();
  Advance();
}

// Moves what can be moved, both ways.
void Relay::Advance() {
  if (failed_side_ != kNeither) return Drain();
  for (unsigned from : {kDownstream, kUpstream}) {
    Side& source = sides_[from];
    if (!source.readable && !source.held) continue;
    size_t budget = kBytesPerTurn;
    Flow flow = Pump(from, &budget);
    if (flow == Flow::kOver) return;
    if (flow == Flow::kYielded) reactor_->Defer(this);
  }
  if (sides_[0].eof && sides_[1].eof && !sides_[0].held && !sides_[1].held) End(Cause::kEof, 0);
}

Relay::Flow Relay::Pump(unsigned from, size_t* budget) {
  Side& source = sides_[from];
  Side& sink = sides_[from ^ 1];
  uint8_t* scratch = reactor_->scratch();
  size_t wanted = std::min<size_t>(Reactor::kScratchBytes, buffer_bytes_);
  if (source.held) {
    Flow flow = WriteHeld(from);
    if (flow != Flow::kDry) return flow;
  }
  while (source.readable && !source.eof) {
    if (*budget == 0) return Flow::kYielded;
    ssize_t length = recv(source.fd, scratch, wanted, MSG_DONTWAIT);
    if (length > 0) {
      // The queue was empty at this moment; whatever comes later is a new edge.
      if (static_cast<size_t>(length) < wanted && !source.read_to_end) source.readable = false;
      *budget -= std::min<size_t>(*budget, static_cast<size_t>(length));
      Flow flow = Forward(from, scratch, static_cast<size_t>(length));
      if (flow != Flow::kDry) return flow;
    } else if (length == 0) {
      source.eof = true;
    } else if (errno == EAGAIN) {
      source.readable = false;
      // Urgent data is past; FIN and RST stay true and need no more reading than this.
      source.read_to_end = false;
    } else if (errno != EINTR) {
      Fail(from, errno);
      return Flow::kOver;
    }
  }
  // With both ends seen, close says it for both. After a failure a FIN would make a cut stream look whole.
  if (source.eof && !sink.shut && !sink.eof && failed_side_ == kNeither) {
    sink.shut = true;
    shutdown(sink.fd, SHUT_WR);
  }
  return Flow::kDry;
}

// Writes at once; what the sink does not take is held, and the source is not read until it has.
Relay::Flow Relay::Forward(unsigned from, const uint8_t* bytes, size_t length) {
  Side& source = sides_[from];
  ssize_t written;
  do {
    written = send(sides_[from ^ 1].fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (written < 0 && errno == EINTR);
  if (written < 0 && errno != EAGAIN) {
    Fail(from ^ 1, errno);
    return Flow::kOver;
  }
  last_moved_ms_ = reactor_->now_ms();
  size_t taken = written > 0 ? static_cast<size_t>(written) : 0;
  source.moved += taken;
  size_t rest = length - taken;
  if (rest == 0) return Flow::kDry;
  source.held.reset(static_cast<uint8_t*>(std::malloc(rest)));
  if (!source.held) {
    Fail(from ^ 1, ENOMEM);
    return Flow::kOver;
  }
  std::memcpy(source.held.get(), bytes + taken, rest);
  source.held_start = 0;
  source.held_end = static_cast<uint32_t>(rest);
  return Flow::kBlocked;
}

Relay::Flow Relay::WriteHeld(unsigned from) {
  Side& source = sides_[from];
  while (source.held_start < source.held_end) {
    ssize_t written = send(sides_[from ^ 1].fd, source.held.get() + source.held_start,
                           source.held_end - source.held_start, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (written >= 0) {
      source.moved += static_cast<uint64_t>(written);
      source.held_start += static_cast<uint32_t>(written);
      last_moved_ms_ = reactor_->now_ms();
    } else if (errno == EAGAIN) {
      return Flow::kBlocked;
    } else if (errno != EINTR) {
      Fail(from ^ 1, errno);
      return Flow::kOver;
    }
  }
  source.held.reset();
  return Flow::kDry;
}

// One side is gone. What it had sent before still goes to the other side, then that gets a RST.
void Relay::Fail(unsigned side, int error) {
  if (Ended()) return;
  Cause cause = side == kDownstream ? Cause::kDownstream : Cause::kUpstream;
  if (failed_side_ != kNeither) {
    if (side != failed_side_) {
      // The receiver of the rest is gone too; the first failure is the cause.
      End(failed_side_ == kDownstream ? Cause::kDownstream : Cause::kUpstream, error_);
    } else {
      sides_[side].eof = true;
    }
    return;
  }
  failed_side_ = static_cast<uint8_t>(side);
  error_ = error;
  cause_ = cause;
  sides_[side ^ 1].held.reset();
  sides_[side].readable = true;
  sides_[side].read_to_end = true;
  give_up_ms_ = reactor_->now_ms() + kDrainMs;
  Drain();
}

void Relay::Drain() {
  unsigned from = failed_side_;
  size_t budget = kBytesPerTurn;
  Flow flow = Pump(from, &budget);
  if (Ended()) return;
  if (flow == Flow::kYielded) return reactor_->Defer(this);
  bool done = sides_[from].eof && !sides_[from].held && !Unsent(sides_[from ^ 1].fd);
  if (done) return End(cause_, error_);
  reactor_->SetDeadline(this, std::min(give_up_ms_, reactor_->now_ms() + kDrainStepMs));
}

uint64_t Relay::OnDeadline(uint64_t now_ms) {
  if (failed_side_ != kNeither) {
    if (now_ms >= give_up_ms_) {
      End(cause_, error_);
    } else {
      Drain();
    }
    return 0;
  }
  uint64_t due = last_moved_ms_ + idle_timeout_ms_;
  if (due > now_ms) return due;
  End(Cause::kIdle, ETIMEDOUT);
  return 0;
}

}  // namespace aq

// What libbpf says while it works, caught instead of printed to stderr.
#pragma once

#include <string>
#include <string_view>

namespace aq {

// While one lives, libbpf's warnings of this thread go into it. libbpf knows one print function for the whole process;
// it is set once and finds the thread's own capture, so environments in different threads never mix their logs.
class LibbpfLog {
 public:
  LibbpfLog();
  ~LibbpfLog();
  LibbpfLog(const LibbpfLog&) = delete;
  LibbpfLog& operator=(const LibbpfLog&) = delete;

  // The last lines of the verifier's log; empty when no program was refused.
  std::string VerifierTail() const;

  // First warning, without its "libbpf: "; empty when there was none.
  std::string FirstWarning() const;

  // The name in the first `<kind> '<name>': <what>...` warning ("prog", "BPF program load failed"); empty when none.
  std::string Subject(std::string_view kind, std::string_view what) const;

  // True when not even a trivial program could be loaded: no privilege, or no bpf(2).
  bool NothingLoads() const;

  void Append(std::string_view text);

 private:
  LibbpfLog* outer_;
  std::string warnings_;
  std::string verifier_;
};

}  // namespace aq

#include "util/libbpf_log.h"

#include <bpf/libbpf.h>

#include <cstdarg>
#include <cstdio>
#include <mutex>

namespace aq {
namespace {

constexpr std::string_view kBegin = "-- BEGIN PROG LOAD LOG --\n";
constexpr std::string_view kEnd = "-- END PROG LOAD LOG --";
constexpr std::string_view kPrefix = "libbpf: ";
constexpr size_t kMaxWarningBytes = 16 * 1024;
constexpr int kVerifierLines = 30;

thread_local LibbpfLog* current = nullptr;

int Print(enum libbpf_print_level level, const char* format, va_list arguments) {
  if (current == nullptr || level != LIBBPF_WARN) return 0;
  va_list copy;
  va_copy(copy, arguments);
  int length = std::vsnprintf(nullptr, 0, format, copy);
  va_end(copy);
  if (length <= 0) return 0;
  std::string text(static_cast<size_t>(length) + 1, '\0');
  std::vsnprintf(text.data(), text.size(), format, arguments);
  text.pop_back();
  current->Append(text);
  return length;
}

// The verifier ends with a line of statistics and the reason stands just before it.
std::string LastLines(std::string_view text, int count) {
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  size_t start = text.size();
  for (int line = 0; line < count && start != std::string_view::npos && start > 0; line++) {
    start = text.rfind('\n', start - 1);
  }
  return std::string(start == std::string_view::npos || start == 0 ? text : text.substr(start + 1));
}

}  // namespace

LibbpfLog::LibbpfLog() : outer_(current) {
  static std::once_flag once;
  std::call_once(once, [] { libbpf_set_print(Print); });
  current = this;
}

LibbpfLog::~LibbpfLog() { current = outer_; }

void LibbpfLog::Append(std::string_view text) {
  size_t begin = text.find(kBegin);
  if (begin != std::string_view::npos) {
    std::string_view log = text.substr(begin + kBegin.size());
    verifier_ = LastLines(log.substr(0, log.rfind(kEnd)), kVerifierLines);
    return;
  }
  if (warnings_.size() + text.size() <= kMaxWarningBytes) warnings_ += text;
}

std::string LibbpfLog::VerifierTail() const { return verifier_; }

std::string LibbpfLog::FirstWarning() const {
  std::string_view line = std::string_view(warnings_).substr(0, warnings_.find('\n'));
  if (line.starts_with(kPrefix)) line.remove_prefix(kPrefix.size());
  return std::string(line);
}

bool LibbpfLog::NothingLoads() const { return warnings_.find("bpf_object__probe_loading") != std::string::npos; }

std::string LibbpfLog::Subject(std::string_view kind, std::string_view what) const {
  std::string head = std::string(kPrefix) + std::string(kind) + " '";
  for (size_t at = warnings_.find(head); at != std::string::npos; at = warnings_.find(head, at + 1)) {
    size_t name = at + head.size();
    size_t end = warnings_.find("': ", name);
    if (end == std::string::npos) break;
    if (warnings_.compare(end + 3, what.size(), what) == 0) return warnings_.substr(name, end - name);
  }
  return "";
}

}  // namespace aq

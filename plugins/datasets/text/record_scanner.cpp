#include "record_scanner.h"

#include <cstring>

namespace text {

std::size_t RecordScanner::find_end(std::string_view text) {
  if (finished_) {
    finished_ = false;
    state_ = State::kFieldBegin;
    inner_lines_ = 0;
  }
  const auto find = [text](char byte, std::size_t from) {
    const void* at = from < text.size() ? std::memchr(text.data() + from, byte, text.size() - from) : nullptr;
    return at == nullptr ? std::string_view::npos : static_cast<std::size_t>(static_cast<const char*>(at) - text.data());
  };
  if (state_ != State::kQuoted && state_ != State::kQuoteInQuoted) {
    // Most records have no quote at all.
    const std::size_t end = find('\n', 0);
    const std::size_t length = end == std::string_view::npos ? text.size() : end;
    if (!quoted_ || length == 0 || std::memchr(text.data(), '"', length) == nullptr) {
      if (end != std::string_view::npos)
        finished_ = true;
      else if (!text.empty())
        state_ = text.back() == delimiter_ ? State::kFieldBegin : State::kPlain;
      return end;
    }
  }
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char byte = text[at];
    if (state_ == State::kQuoted) {
      if (byte == '"') state_ = State::kQuoteInQuoted;
      inner_lines_ += byte == '\n';
    } else if (byte == '\n') {
      finished_ = true;
      return at;
    } else if (byte == '"') {
      state_ = state_ == State::kPlain ? State::kPlain : State::kQuoted;
    } else {
      state_ = byte == delimiter_ ? State::kFieldBegin : State::kPlain;
    }
  }
  return std::string_view::npos;
}

}  // namespace text

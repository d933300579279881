#include "fields.h"

#include <emmintrin.h>

#include <bit>
#include <cstdint>
#include <cstring>

#include "numbers.h"

namespace text {

bool FieldSplitter::split(std::string_view record) {
  fields_.clear();
  if (format_.quoted && std::memchr(record.data(), '"', record.size()) != nullptr) return split_quoted(record);
  if (format_.delimiter.size() == 1)
    split_at_byte(record, format_.delimiter[0]);
  else
    split_at_text(record);
  return true;
}

// Sixteen bytes at a time: fields are a few bytes long, so that a search per field would cost more than it finds.
void FieldSplitter::split_at_byte(std::string_view record, char delimiter) {
  const __m128i wanted = _mm_set1_epi8(delimiter);
  const char* const begin = record.data();
  std::size_t field = 0;
  for (std::size_t at = 0; at < record.size(); at += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(begin + at));
    auto hits = static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, wanted)));
    if (record.size() - at < 16) hits &= (1u << (record.size() - at)) - 1;
    for (; hits != 0; hits &= hits - 1) {
      const std::size_t end = at + static_cast<std::size_t>(std::countr_zero(hits));
      fields_.emplace_back(begin + field, end - field);
      field = end + 1;
    }
  }
  fields_.emplace_back(begin + field, record.size() - field);
}

void FieldSplitter::split_at_text(std::string_view record) {
  for (std::size_t end; (end = record.find(format_.delimiter)) != std::string_view::npos;
       record.remove_prefix(end + format_.delimiter.size()))
    fields_.push_back(record.substr(0, end));
  fields_.push_back(record);
}

bool FieldSplitter::split_quoted(std::string_view record) {
  unescaped_.clear();
  const auto fail = [this](const std::string& reason) {
    error_ = "field " + std::to_string(fields_.size() + 1) + ": " + reason;
    return false;
  };
  while (true) {
    std::string_view field;
    if (record.starts_with('"')) {
      std::string* unescaped = nullptr;
      std::size_t begin = 1, end;
      while (true) {
        end = record.find('"', begin);
        if (end == std::string_view::npos) return fail("the quote that opens it is never closed");
        if (end + 1 >= record.size() || record[end + 1] != '"') break;
        if (unescaped == nullptr) unescaped = &unescaped_.emplace_back();
        unescaped->append(record.substr(begin, end + 1 - begin));
        begin = end + 2;
      }
      field = record.substr(begin, end - begin);
      if (unescaped != nullptr) field = unescaped->append(field);
      record.remove_prefix(end + 1);
      if (!record.empty() && !record.starts_with(format_.delimiter)) return fail("text goes on after the closing quote");
    } else {
      field = record.substr(0, record.find(format_.delimiter));
      if (field.find('"') != std::string_view::npos) return fail("a quote stands inside a field that is not quoted");
      record.remove_prefix(field.size());
    }
    fields_.push_back(field);
    if (record.empty()) return true;
    record.remove_prefix(format_.delimiter.size());
  }
}

std::string objection_to_record(std::string_view record) {
  if (const std::size_t at = find_invalid_utf8(record); at != std::string_view::npos)
    return "byte " + std::to_string(at + 1) + " of the line, " + quote(record.substr(at, 1)) + ", is not UTF-8";
  if (const void* const nul = std::memchr(record.data(), 0, record.size()))
    return "byte " + std::to_string(static_cast<const char*>(nul) - record.data() + 1) + " of the line is NUL: is the file damaged, or in UTF-16?";
  return {};
}

std::size_t find_invalid_utf8(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    // Eight plain bytes at a time.
    std::uint64_t word;
    if (text.size() - at >= sizeof word) {
      std::memcpy(&word, text.data() + at, sizeof word);
      if ((word & 0x8080808080808080ull) == 0) {
        at += sizeof word;
        continue;
      }
    }
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte < 0x80) {
      ++at;
      continue;
    }
    // Length and smallest code point of the sequence that this byte opens.
    const std::size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    const std::uint32_t smallest = length == 4 ? 0x10000 : length == 3 ? 0x800 : 0x80;
    if (byte < 0xc2 || byte > 0xf4 || text.size() - at < length) return at;
    std::uint32_t code = byte & (0x7fu >> length);
    for (std::size_t i = 1; i < length; ++i) {
      const auto next = static_cast<unsigned char>(text[at + i]);
      if ((next & 0xc0) != 0x80) return at;
      code = code << 6 | (next & 0x3f);
    }
    if (code < smallest || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return at;
    at += length;
  }
  return std::string_view::npos;
}

}  // namespace text

// plugin: csv
// Records and their fields: however a text is cut into pieces, the same records come out, and fields lie within theirs.
#include <cstdlib>

#include "fuzzed_loader.h"
#include "text/fields.h"
#include "text/numbers.h"
#include "text/record_scanner.h"

namespace {

std::vector<std::string> records(std::string_view text, const text::RowFormat& format, std::size_t piece) {
  text::RecordScanner scanner(format);
  std::vector<std::string> found(1);
  while (!text.empty()) {
    std::string_view here = text.substr(0, piece);
    const std::size_t end = scanner.find_end(here);
    if (end != std::string_view::npos && end >= here.size()) std::abort();
    const std::size_t used = end == std::string_view::npos ? here.size() : end + 1;
    found.back() += here.substr(0, end == std::string_view::npos ? used : end);
    if (end != std::string_view::npos) found.emplace_back();
    text.remove_prefix(used);
  }
  return found;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text = fuzz::bytes_of(data + 1, size - 1);
  const text::RowFormat format{.delimiter = (data[0] & 1) != 0 ? "," : "::", .quoted = (data[0] & 2) != 0};
  const std::vector<std::string> whole = records(text, format, text.size());
  if (whole != records(text, format, 1 + (data[0] >> 2))) std::abort();
  text::FieldSplitter splitter(format);
  for (const std::string& record : whole) {
    const std::string padded = record + std::string(16, '\0');
    if (!splitter.split({padded.data(), record.size()})) {
      if (splitter.error().empty()) std::abort();
      continue;
    }
    std::size_t bytes = 0;
    for (const std::string_view field : splitter.fields()) {
      bytes += field.size();
      text::quote(field);
    }
    if (splitter.fields().empty() || bytes > record.size()) std::abort();
    text::objection_to_record(record);
  }
  return 0;
}

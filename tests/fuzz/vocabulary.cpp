// The input is a vocabulary's header, and after a NUL byte its rows: what is accepted can be asked.
#include "base/error.h"
#include "data/vocabulary.h"
#include "fuzzed_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::bytes_of(data, size);
  const std::size_t end = text.find('\0');
  const auto header = fuzz::write_scratch("t.json", text.substr(0, end));
  fuzz::write_scratch("t.tsv", end == std::string_view::npos ? std::string_view() : text.substr(end + 1));
  try {
    const rechost::Vocabulary vocabulary = rechost::Vocabulary::load(header);
    for (std::int32_t row = 0; row < std::min<std::int64_t>(vocabulary.rows(), 100); ++row) vocabulary.value_text(row);
    if (vocabulary.encoding().encoder == rechost::EncoderKind::kIdentity) return 0;  // its caller checks the range
    const std::int32_t row = vocabulary.encoding().values == rechost::ValueKind::kInteger ? vocabulary.row(std::int64_t{7}) : vocabulary.row("seven");
    if (row < 0 || row >= vocabulary.rows()) std::abort();
  } catch (const rechost::Error&) {
  }
  return 0;
}

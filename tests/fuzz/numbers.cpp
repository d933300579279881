// plugin: csv
// Numbers: two ways to read one agree, and what is accepted is finite.
#include <cmath>
#include <cstdlib>

#include "fuzzed_loader.h"
#include "text/numbers.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::bytes_of(data, size);
  float narrow = 0;
  double wide = 0;
  std::int64_t integer = 0;
  const bool is_real = text::parse_real(text, wide), is_float = text::parse_float(text, narrow), is_integer = text::parse_integer(text, integer);
  if (is_float && (!is_real || !std::isfinite(narrow) || narrow != static_cast<float>(wide))) std::abort();
  if (is_integer && (!is_real || static_cast<double>(integer) != wide)) std::abort();
  if (text::quote(text).size() > 4 * 60 + 8) std::abort();
  text::refusal(text, "a number");
  return 0;
}

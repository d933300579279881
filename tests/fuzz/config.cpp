// The input is a configuration, and after a NUL byte a --set: layers, keys, types and the text that shows the result.
#include "base/error.h"
#include "config/parse.h"
#include "config/show.h"
#include "fuzzed_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::bytes_of(data, size);
  const std::size_t end = text.find('\0');
  rechost::ConfigLayers layers;
  layers.files.push_back(fuzz::write_scratch("x.toml", text.substr(0, end)));
  if (end != std::string_view::npos) layers.settings.emplace_back(text.substr(end + 1));
  layers.lookup = [](std::string_view) { return std::nullopt; };
  try {
    rechost::show_config(rechost::load_config(layers), rechost::ShowOrigins::kYes);
  } catch (const rechost::Error&) {
  }
  return 0;
}

// The whole input is a safetensors file: what is accepted can be read to its end.
#include "base/error.h"
#include "base/safetensors.h"
#include "fuzzed_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const rechost::SafetensorsFile file(fuzz::write_scratch("x.safetensors", fuzz::bytes_of(data, size)));
    for (const auto& tensor : file.tensors()) {
      if (tensor.bytes > size) std::abort();
      std::vector<char> values(tensor.bytes);
      file.read(tensor, 0, tensor.elements(), values.data());
    }
  } catch (const rechost::Error&) {
  }
  return 0;
}

#pragma once

#include <cstdint>

/// Inputs of the last step of the model "records_inputs", by group; its interface "test.recorded_inputs". At most 63 rows.
struct RecordedInputs {
  struct Group {
    std::int64_t rows;
    std::int64_t offsets[2][64];  ///< by block
    float log_probability[64];
  };
  Group groups[2];
};

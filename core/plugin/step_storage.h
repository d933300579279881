#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "plugin/model_instance.h"
#include "rechost/model.h"

namespace rechost {

/// The arrays behind one rh_step. All sizes are fixed by the model, so that filling a step allocates nothing.
struct StepBuilder::Storage {
  struct Group {
    std::vector<rh_embedding_block> blocks;
    std::vector<std::array<std::int64_t, 3>> block_shapes;
    std::array<std::int64_t, 2> dense_shape{};
    std::array<std::int64_t, 2> label_shape{};
    std::array<std::int64_t, 1> weight_shape{};
  };

  rh_step step{};
  std::array<rh_inputs, kInputGroups> inputs{};
  std::array<Group, kInputGroups> groups;
};

/// What the plugin handed over in one backward.
struct BlockGradients::Storage {
  std::vector<rh_managed_tensor*> owned;   ///< by block; null: nothing to give back
  std::vector<const float*> data;          ///< by block; null: zero
  std::vector<std::vector<float>> packed;  ///< by block: copy of a gradient that was not contiguous
};

inline rh_device abi_device(const StepDevice& device) { return {.type = device.cuda ? RH_DEVICE_CUDA : RH_DEVICE_CPU, .id = device.id}; }

/// A float32 tensor over borrowed memory; `shape` is borrowed too.
inline rh_tensor float_tensor(const void* data, rh_device device, std::int64_t* shape, std::int32_t ndim) {
  // The ABI has one tensor type for both directions; plugins do not write to inputs.
  return {.data = const_cast<void*>(data),
          .device = device,
          .ndim = ndim,
          .dtype = {.code = static_cast<std::uint8_t>(RH_DTYPE_FLOAT), .bits = 32, .lanes = 1},
          .shape = shape,
          .strides = nullptr,
          .byte_offset = 0};
}

}  // namespace rechost

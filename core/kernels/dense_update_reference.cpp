#include <vector>

#include "kernels/dense_update.h"
#include "kernels/optimizer_reference.h"

namespace rechost {

void dense_update_reference(const OptimizerSettings& optimizer, const DenseUpdateSettings& settings, std::span<const DenseRange> ranges,
                            float* values, const float* gradients, DenseState state) {
  const bool rowwise = optimizer.kind == OptimizerKind::kRowwiseAdagrad;
  std::int64_t row = 0;
  for (const DenseRange& range : ranges) {
    OptimizerSettings of_range = optimizer;
    if (!range.decay) of_range.weight_decay = 0.0;
    for (std::int64_t begin = range.first; begin < range.first + range.count; begin += range.row_length, ++row) {
      const auto length = static_cast<std::size_t>(range.row_length);
      std::vector<double> value(values + begin, values + begin + range.row_length);
      std::vector<double> gradient(length);
      for (std::size_t i = 0; i < length; ++i) {
        gradient[i] = gradients[begin + static_cast<std::int64_t>(i)] * settings.gradient_scale;
        if (range.decay) gradient[i] += settings.l2 * value[i];
      }
      // The reference wants a row's state in one piece.
      std::vector<float*> places;
      const std::int64_t state_floats = optimizer_state_floats(optimizer.kind, range.row_length);
      for (std::int64_t i = 0; i < state_floats; ++i) {
        if (rowwise) {
          places.push_back(state.first + row);
        } else {
          places.push_back(i < range.row_length ? state.first + begin + i : state.second + begin + i - range.row_length);
        }
      }
      std::vector<double> row_state;
      for (const float* place : places) row_state.push_back(*place);
      optimizer_step_reference(of_range, settings.step, settings.lr_factor, gradient, value, row_state);
      for (std::size_t i = 0; i < length; ++i) values[begin + static_cast<std::int64_t>(i)] = static_cast<float>(value[i]);
      for (std::size_t i = 0; i < places.size(); ++i) *places[i] = static_cast<float>(row_state[i]);
    }
  }
}

}  // namespace rechost

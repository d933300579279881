#include <algorithm>

#include "app/command.h"
#include "app/data_commands.h"
#include "app/data_loader.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "train/run_data.h"

namespace rechost::app {

namespace options = boost::program_options;

namespace {

/// "7 1 4 | 0 2": the samples of a global batch, rank by rank.
std::string batch_text(const std::vector<std::vector<std::int64_t>>& by_rank) {
  std::string text;
  for (std::size_t rank = 0; rank < by_rank.size(); ++rank) {
    if (rank > 0) text += " |";
    for (const std::int64_t sample : by_rank[rank]) text += fmt::format("{}{}", text.empty() ? "" : " ", sample);
  }
  return text;
}

}  // namespace

int data_order_command(std::span<const std::string> arguments) {
  options::options_description visible("Options");
  add_loader_options(visible, nullptr);
  visible.add_options()("epoch", options::value<std::int64_t>(), "which epoch; by default the one that the order begins in: 0, or that of data.mosaic.state")(
      "step", options::value<std::int64_t>(), "only this step of the epoch, counted from 0")(
      "ranks", options::value<int>()->default_value(1), "show how so many ranks share each batch");
  add_output_option(visible);
  options::variables_map values;
  if (!parse_arguments(find_command("data", "order"), arguments, visible, {}, values)) return kDone;
  const bool json = wants_json(values);
  const int ranks = values["ranks"].as<int>();
  if (ranks < 1) throw UsageError(fmt::format("--ranks {}: at least 1", ranks));
  const Loader loader = open_loader(values);
  const SampleOrder order = declared_training_order(loader.config, open_splits(*loader.instance, {}));
  if (order.samples() == 0) throw DataError("there are no training samples");
  if (order.mosaic() != nullptr && !order.mosaic()->block_warning().empty()) log_warning("{}", order.mosaic()->block_warning());

  const std::int64_t begins = order.locate(0).epoch;
  const std::int64_t epoch = values.count("epoch") != 0 ? values["epoch"].as<std::int64_t>() : begins;
  if (epoch < begins) throw UsageError(fmt::format("--epoch {}: the order begins in epoch {}", epoch, begins));
  const std::int64_t steps = order.first_step_of(epoch + 1) - order.first_step_of(epoch);
  std::int64_t first = 0;
  std::int64_t last = steps;
  if (values.count("step") != 0) {
    first = values["step"].as<std::int64_t>();
    if (first < 0 || first >= steps) throw UsageError(fmt::format("--step {}: epoch {} has steps 0 to {}", first, epoch, steps - 1));
    last = first + 1;
  }
  std::vector<std::vector<std::int64_t>> by_rank(static_cast<std::size_t>(ranks));
  for (std::int64_t step = first; step < last; ++step) {
    for (int rank = 0; rank < ranks; ++rank) order.batch({epoch, step}, {rank, ranks}, by_rank[static_cast<std::size_t>(rank)]);
    if (json) {
      Json line = Json::object();
      line["epoch"] = epoch;
      line["step"] = step;
      line["samples"] = by_rank;
      print(json_line(line) + "\n");
    } else {
      print(fmt::format("epoch {} step {}: {}\n", epoch, step, batch_text(by_rank)));
    }
  }
  return kDone;
}

}  // namespace rechost::app

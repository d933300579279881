#include "app/report_command.h"

#include <filesystem>

#include "app/command.h"
#include "app/run_report.h"
#include "base/file.h"
#include "base/log.h"

namespace rechost::app {

namespace options = boost::program_options;

int runs_report_command(std::span<const std::string> arguments) {
  options::options_description visible("Options");
  visible.add_options()("run", options::value<std::string>(), "run directory")("out,o", options::value<std::string>(),
                                                                               "file to write (RUN/report.html); -: standard output");
  options::positional_options_description positional;
  positional.add("run", 1);
  options::variables_map values;
  if (!parse_arguments(find_command("runs", "report"), arguments, visible, positional, values)) return kDone;
  if (values.count("run") == 0) throw UsageError("which run? rechost runs list shows them");
  const std::filesystem::path run = values["run"].as<std::string>();
  const std::string page = run_report(run);
  const std::filesystem::path out = values.count("out") != 0 ? std::filesystem::path(values["out"].as<std::string>()) : run / "report.html";
  if (out == "-") {
    print(page);
  } else {
    write_file_atomically(out, page);
    log_info("written: {}", out.string());
  }
  return kDone;
}

}  // namespace rechost::app

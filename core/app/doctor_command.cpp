#include "app/doctor_command.h"

#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "app/command.h"
#include "app/compute_device.h"
#include "app/environment.h"
#include "app/ranks.h"
#include "app/run_tracker.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/host.h"
#include "base/json.h"
#include "base/version.h"
#include "device/instruction_set.h"
#include "launch/launch_variables.h"
#include "launch/process_identity.h"
#include "plugin/library.h"

namespace rechost::app {

namespace fs = std::filesystem;
namespace options = boost::program_options;

namespace {

struct Finding {
  std::string what;
  std::string value;
  std::string remedy;  ///< empty: nothing wrong
};

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

Finding huge_pages() {
  const std::string mode = first_line("/sys/kernel/mm/transparent_hugepage/enabled");
  Finding finding{"transparent huge pages", mode.empty() ? "not in this kernel" : mode, ""};
  if (mode.find("[never]") != std::string::npos) {
    finding.remedy = "tables are read about half as fast without: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled (as root)";
  }
  return finding;
}

Finding memory() {
  const auto free_pages = static_cast<std::uint64_t>(sysconf(_SC_AVPHYS_PAGES));
  const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  return {"memory", fmt::format("{} in all, {} free", bytes_text(usable_memory_bytes()), bytes_text(free_pages * page)), ""};
}

Finding open_files() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  Finding finding{"open files", std::to_string(limit.rlim_cur), ""};
  if (limit.rlim_cur < 1024) finding.remedy = "raise it: ulimit -n 4096";
  return finding;
}

Finding disk() {
  struct statvfs info {};
  if (statvfs(".", &info) != 0) return {"disk here", "unknown", ""};
  const std::uint64_t free_bytes = std::uint64_t{info.f_bavail} * info.f_frsize;
  Finding finding{"disk here", bytes_text(free_bytes) + " free", ""};
  if (free_bytes < 2'000'000'000) finding.remedy = "checkpoints need room: use --out on a larger disk";
  return finding;
}

Finding gpus() {
  const GpuFinding found = look_for_gpus();
  return {"GPU", found.value, found.remedy};
}

/// `forced`: --launcher.
Finding launcher(const std::string& forced) {
  try {
    const ProcessIdentity identity = find_identity(environment_variable, forced);
    if (identity.world_size == 1) return {"launcher", fmt::format("{}: one process", identity.launcher), identity.warning};
    job_secret();  // told here if it cannot be read
    const std::string who = identity.starts == 1 ? fmt::format("rank {} of {}, {} of {} on this machine", identity.rank, identity.world_size,
                                                               identity.local_rank, identity.local_world_size)
                                                 : fmt::format("starts ranks {} to {} of {} here", identity.rank,
                                                               identity.rank + identity.starts - 1, identity.world_size);
    return {"launcher",
            fmt::format("{}: {}; rank 0 at {}:{} (because {})", identity.launcher, who, identity.host, identity.ports.front(),
                        fmt::join(identity.because, ", ")),
            identity.warning};
  } catch (const ConfigError& error) {
    return {"launcher", "cannot be told", error.what()};
  }
}

/// Each variable of a launcher that is set: what it means, and whether it counts.
std::vector<Finding> variables_of_launchers(const std::string& forced) {
  std::vector<std::string> counted;
  std::string found = forced;
  try {
    const ProcessIdentity identity = find_identity(environment_variable, forced);
    counted = identity.because;
    found = identity.launcher;
  } catch (const ConfigError&) {
    // Said by launcher().
  }
  std::vector<Finding> findings;
  for (const LaunchVariable& variable : launch_variables()) {
    const auto value = environment_variable(std::string(variable.name));
    if (!value) continue;
    const std::string shown = variable.secret ? std::string(variable.name) : fmt::format("{}={}", variable.name, *value);
    const bool counts = std::find(counted.begin(), counted.end(), shown) != counted.end();
    const bool of_another = !counts && !variable.launcher.empty() && !found.empty() && variable.launcher != found;
    findings.push_back({shown, fmt::format("{}{}", variable.meaning, of_another ? fmt::format(" ({}; does not count under {})", variable.launcher, found) : ""), ""});
  }
  return findings;
}

Finding mlflow() {
  Config config;
  config.tracking.mlflow.timeout_seconds = 10.0;
  try {
    resolve_tracking(config);
    if (!tracks_mlflow(config)) return {"MLflow", "no address in MLFLOW_TRACKING_URI; runs are tracked where tracking.mlflow.uri says", ""};
    std::signal(SIGPIPE, SIG_IGN);  // a connection that breaks is not the end
    const MlflowServer server = mlflow_server(config.tracking.mlflow);
    return {"MLflow", fmt::format("{} (version {})", server.uri, MlflowClient(server.uri, server.http, nullptr).server_version()), ""};
  } catch (const MlflowRefused& refused) {
    return {"MLflow", config.tracking.mlflow.uri, refused.what() + mlflow_advice(refused)};
  } catch (const MlflowUnavailable& failure) {
    return {"MLflow", config.tracking.mlflow.uri, fmt::format("{}. Runs go on without it, and keep what it is to be told", failure.what())};
  } catch (const ConfigError& error) {
    return {"MLflow", "MLFLOW_TRACKING_URI cannot be used", error.what()};
  }
}

void add_plugins(std::vector<Finding>& findings) {
  const auto files = list_plugins(plugin_directories());
  if (files.empty()) findings.push_back({"plugins", "none", "set RECHOST_PLUGIN_PATH to the folder that holds them"});
  for (const PluginFile& file : files) {
    std::string value = fmt::format("{} {}", file.path.string(), file.note.version);
    if (file.note.torch) value += fmt::format(" (LibTorch {})", file.note.torch->version);
    findings.push_back({"plugin " + file.note.name, value, file.problem});
  }
}

/// Prints them; the exit code says whether there are problems.
int show(const std::vector<Finding>& findings, bool json) {
  int problems = 0;
  for (const Finding& finding : findings) {
    if (!finding.remedy.empty()) ++problems;
    if (json) {
      Json entry = Json::object();
      entry["what"] = finding.what;
      entry["value"] = finding.value;
      entry["remedy"] = finding.remedy;
      print(json_line(entry) + "\n");
    } else {
      print(fmt::format("{:<24} {}{}\n", finding.what, finding.value, finding.remedy.empty() ? "" : "\n    ! " + finding.remedy));
    }
  }
  if (!json) print(problems == 0 ? "\nno problem found\n" : fmt::format("\n{} problems\n", problems));
  return problems == 0 ? kDone : kFailed;
}

}  // namespace

int doctor_command(std::span<const std::string> arguments) {
  options::options_description visible("Options");
  visible.add_options()("part", options::value<std::string>()->default_value(""), "launch: only who this process is to its launcher, by which variables")(
      "launcher", options::value<std::string>()->default_value(""), fmt::format("look at the variables of that one only: {}", launcher_names()).c_str());
  add_output_option(visible);
  options::positional_options_description positional;
  positional.add("part", 1);
  options::variables_map values;
  if (!parse_arguments(find_command("doctor", ""), arguments, visible, positional, values)) return kDone;
  const std::string part = values["part"].as<std::string>();
  if (part != "" && part != "launch") throw UsageError(fmt::format("rechost doctor {}: the only part is launch", part));
  const std::string forced = values["launcher"].as<std::string>();
  const bool json = wants_json(values);
  if (part == "launch") {
    std::vector<Finding> findings{launcher(forced)};
    for (Finding& variable : variables_of_launchers(forced)) findings.push_back(std::move(variable));
    return show(findings, json);
  }
  utsname system{};
  uname(&system);
  std::vector<Finding> findings;
  findings.push_back({"rechost", std::string(version()), ""});
  findings.push_back({"system", fmt::format("{} {} {}", system.sysname, system.release, system.machine), ""});
  findings.push_back({"cores", fmt::format("{} usable of {}", usable_cores(), sysconf(_SC_NPROCESSORS_ONLN)), ""});
  findings.push_back({"vector instructions", std::string(instruction_set_name(instruction_set())), ""});
  findings.push_back(memory());
  findings.push_back(huge_pages());
  findings.push_back(open_files());
  findings.push_back(disk());
  findings.push_back(gpus());
  findings.push_back(launcher(forced));
  findings.push_back(mlflow());
  findings.push_back({"registry", registry_directory().string(), ""});
  add_plugins(findings);
  return show(findings, json);
}

}  // namespace rechost::app

#include "base/json.h"

#include <set>
#include <vector>

#include "base/error.h"

namespace rechost {

std::string json_line(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string json_document(const Json& value) { return value.dump(1, ' ', false, Json::error_handler_t::replace) + "\n"; }

Json parse_json(std::string_view text, std::string_view origin) {
  std::vector<std::set<std::string>> open_objects;
  const auto reject_duplicates = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) open_objects.emplace_back();
    if (event == Json::parse_event_t::object_end) open_objects.pop_back();
    if (event == Json::parse_event_t::key && !open_objects.back().insert(parsed.get<std::string>()).second) {
      fail("{}: the key \"{}\" is there twice", origin, parsed.get<std::string>());
    }
    return true;
  };
  try {
    return Json::parse(text, reject_duplicates);
  } catch (const Json::exception& error) {
    fail("{}: not valid JSON: {}", origin, error.what());
  }
}

}  // namespace rechost

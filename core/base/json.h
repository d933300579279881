#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace rechost {

/// Keeps keys in the order in which they were added, so that files we write read the same every time.
using Json = nlohmann::ordered_json;

/// One line without a line break. Doubles are written with the fewest digits that read back to the same bits; NaN and infinities, which
/// JSON cannot express, become null; bytes that are not UTF-8 become U+FFFD, because a log line must never fail.
std::string json_line(const Json& value);

/// The same with an indent of one space, and a line break at the end.
std::string json_document(const Json& value);

/// Stricter than the library: a key given twice is an error too. `origin` (a path) begins the message. Throws Error.
Json parse_json(std::string_view text, std::string_view origin);

}  // namespace rechost

#include "data/bad_rows.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace rechost {
namespace {

std::string base64(std::string_view bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](std::size_t at) { return at < bytes.size() ? static_cast<unsigned char>(bytes[at]) : 0U; };
    const unsigned group = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    text += kDigits[group >> 18 & 63];
    text += kDigits[group >> 12 & 63];
    text += i + 1 < bytes.size() ? kDigits[group >> 6 & 63] : '=';
    text += i + 2 < bytes.size() ? kDigits[group & 63] : '=';
  }
  return text;
}

/// UTF-8, which is all that a string of JSON can be.
bool is_json_text(const std::string& bytes) {
  try {
    nlohmann::json(bytes).dump();
    return true;
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
}

}  // namespace

BadRowPolicy::Action BadRowPolicy::parse(std::string_view text) {
  if (text == "fail") return Action::kFail;
  if (text == "skip") return Action::kSkip;
  if (text == "quarantine") return Action::kQuarantine;
  fail<ConfigError>("data.bad_rows = \"{}\": it is \"fail\", \"skip\" or \"quarantine\"", text);
}

std::string describe(const std::string& split, const BadRow& row) {
  std::string text = fmt::format("{}, chunk {}, row {}", split, row.chunk, row.row_in_chunk);
  if (!row.source.empty()) text += row.line > 0 ? fmt::format(" ({}:{})", row.source, row.line) : fmt::format(" ({})", row.source);
  if (!row.column.empty()) text += fmt::format(", column \"{}\"", row.column);
  return text + ": " + row.reason;
}

std::int64_t BadRowPolicy::rows_worth_reading() const {
  return settings_.action == Action::kFail ? 1 : settings_.budget + 1;
}

void BadRowPolicy::add(const std::string& split, const BadRow& row) {
  if (settings_.action == Action::kFail) {
    fail<DataError>("{}. Mend it, or set data.bad_rows = \"skip\" or \"quarantine\" to go on without such rows", describe(split, row));
  }
  ++count_by_column_[row.column];
  if (count_ >= settings_.budget) {
    const auto worst = std::max_element(count_by_column_.begin(), count_by_column_.end(),
                                        [](const auto& left, const auto& right) { return left.second < right.second; });
    const std::string place = worst->first.empty() ? "the row as a whole" : fmt::format("column \"{}\"", worst->first);
    fail<DataError>("more than data.bad_row_budget = {} bad rows; most often, {} times, the fault lies in {}; the last: {}", settings_.budget,
                    worst->second, place, describe(split, row));
  }
  ++count_;
  ++count_by_split_[split];
  if (settings_.action == Action::kQuarantine) write(split, row);
}

void BadRowPolicy::write(const std::string& split, const BadRow& row) {
  if (settings_.directory.empty()) return;
  const std::filesystem::path file = settings_.directory / (split + ".jsonl");
  std::ofstream& out = files_[split];
  if (!out.is_open()) {
    std::error_code error;
    std::filesystem::create_directories(settings_.directory, error);
    out.open(file, std::ios::binary | std::ios::trunc);
    if (!out) fail<DataError>("cannot write quarantined rows to {}", file.string());
  }
  Json line = bad_row_json(row);
  // As it stands where it is text, so that it can be read and mended; else in Base64, so that no byte is lost.
  if (is_json_text(row.raw)) {
    line["raw"] = row.raw;
  } else {
    line["raw_base64"] = base64(row.raw);
  }
  if (row.raw_bytes > static_cast<std::int64_t>(row.raw.size())) line["raw_bytes"] = row.raw_bytes;
  out << json_line(line) << '\n' << std::flush;
  if (!out) fail<DataError>("cannot write quarantined rows to {}: is the disk full?", file.string());
}

Json bad_row_json(const BadRow& row) {
  Json object = Json::object();
  object["chunk"] = row.chunk;
  object["row_in_chunk"] = row.row_in_chunk;
  object["source"] = row.source;
  object["line"] = row.line;
  object["column"] = row.column;
  object["reason"] = row.reason;
  return object;
}

}  // namespace rechost

#include "candidates.h"

#include "rechost/cxx/dataset.hpp"
#include "text/fields.h"
#include "text/numbers.h"
#include "text/row_source.h"

namespace ratings {

Candidates Candidates::load(const std::string& path, Interactions& interactions) {
  Candidates result;
  const text::RowFormat format{.delimiter = "\t"};
  const text::RowSource source({path}, format, 4096);
  result.fingerprint_ = source.fingerprint();
  text::FieldSplitter splitter(format);
  for (std::int64_t chunk = 0; chunk < source.chunk_count(); ++chunk) {
    text::RowReader reader(source, chunk);
    for (text::Row row; reader.next(row);) {
      const auto fail = [&](const std::string& reason) {
        throw rechost::DataError("'" + path + "', line " + std::to_string(row.line) + ": " + reason);
      };
      splitter.split(row.record);
      std::string_view pair = splitter.fields()[0];
      const std::size_t comma = pair.find(',');
      if (pair.size() < 5 || pair.front() != '(' || pair.back() != ')' || comma == std::string_view::npos)
        fail(text::refusal(pair, "a pair (user,item)"));
      const std::int32_t user = interactions.users.find(pair.substr(1, comma - 1));
      const std::int32_t item = interactions.items.find(pair.substr(comma + 1, pair.size() - comma - 2));
      // Pairs of users or items that no interaction has are of no use, and do no harm.
      if (user < 0 || item < 0) continue;
      Range range{result.items_.size(), 0};
      for (std::size_t i = 1; i < splitter.fields().size(); ++i) {
        const std::string_view id = splitter.fields()[i];
        if (id.empty() && i + 1 == splitter.fields().size()) break;  // the line ends in a tab
        if (text::find_invalid_utf8(id) != std::string_view::npos) fail(text::refusal(id, "UTF-8"));
        const std::int32_t candidate = id.empty() ? -1 : interactions.items.number_of(id);
        if (candidate < 0) fail(text::refusal(id, "an item"));
        if (candidate != item) result.items_.push_back(candidate);
      }
      range.size = result.items_.size() - range.begin;
      result.ranges_.emplace(key(user, item), range);
    }
  }
  for (std::size_t i = 0; i < interactions.size(); ++i)
    if (interactions.part[i] == Part::kTest && !result.ranges_.contains(key(interactions.user[i], interactions.item[i])))
      throw rechost::DataError("'" + path + "' has no line for the test interaction of user " +
                               interactions.users.written(interactions.user[i]) + " with item " +
                               interactions.items.written(interactions.item[i]));
  return result;
}

}  // namespace ratings

#include "train/stream_loader.h"

#include <algorithm>

#include "base/error.h"
#include "data/combined_source.h"

namespace rechost {

std::vector<std::string> StreamLoader::list_splits() const {
  std::vector<std::string> offered = streams_.front().loader.list_splits();
  for (const Stream& stream : streams_) {
    const std::vector<std::string> others = stream.loader.list_splits();
    if (others == offered) continue;
    fail<DataError>("data.streams.{} offers the splits {}, data.streams.{} {}: give all streams the same ones", streams_.front().name, fmt::join(offered, ", "),
                    stream.name, fmt::join(others, ", "));
  }
  return offered;
}

SplitSource StreamLoader::open_split(const std::string& split) const {
  SplitSource opened{split, nullptr, {}};
  if (streams_.size() == 1 && streams_.front().name.empty()) {
    opened.source = streams_.front().loader.open(split);
    return opened;
  }
  const bool may_be_shared = split == "valid" || split == "test";
  std::vector<CombinedSource::Part> parts;
  std::vector<std::uint64_t> seen;
  for (const Stream& stream : streams_) {
    std::shared_ptr<ChunkSource> source = stream.loader.open(split);
    if (may_be_shared) {
      const std::uint64_t fingerprint = source->fingerprint();
      if (std::find(seen.begin(), seen.end(), fingerprint) != seen.end()) continue;
      seen.push_back(fingerprint);
    }
    opened.streams.push_back({stream.name, source->chunk_count()});
    parts.push_back({"data.streams." + stream.name, std::move(source)});
  }
  opened.source = std::make_shared<CombinedSource>(std::move(parts));
  return opened;
}

}  // namespace rechost

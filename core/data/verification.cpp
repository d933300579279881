#include "data/verification.h"

#include <memory>
#include <optional>
#include <utility>

#include "base/error.h"
#include "data/chunk_encoder.h"
#include "data/ordered_chunks.h"
#include "data/sequential_read_ahead.h"
#include "data/vocabulary_builder.h"

namespace rechost {
namespace {

// A chunk with so many bad rows is not what the options say it is; to remember each of them would fill the memory.
constexpr std::int64_t kMostBadRows = 100'000;

struct Scratch {
  Scratch(const EncodingPlan& plan, const RowLayout& layout) : encoder(plan, layout), values(plan.tables.size()) {}
  ChunkEncoder encoder;
  EncodedChunk chunk;
  std::vector<ChunkValues> values;  // by table; nobody asks for them
  std::optional<std::string> broken;
};

}  // namespace

SplitVerification verify_rows(ChunkSource& source, const VerificationOptions& options, ThreadPool& pool) {
  const EncodingPlan plan = resolve_schema(source.columns(), options.feature_settings, options.derived_features);
  const RowLayout layout(plan.schema);
  std::vector<std::unique_ptr<VocabularyBuilder>> builders;
  std::vector<VocabularyBuilder*> builder_pointers;
  std::vector<std::unique_ptr<Vocabulary>> vocabularies;
  std::vector<const Vocabulary*> vocabulary_pointers;
  for (const TableEncoding& table : plan.tables) {
    builder_pointers.push_back(builders.emplace_back(std::make_unique<VocabularyBuilder>(table)).get());
    vocabulary_pointers.push_back(vocabularies.emplace_back(std::make_unique<Vocabulary>(table)).get());
  }
  ChunkEncoder::Input input;
  input.source = &source;
  input.positions = locate_columns(plan, source.columns(), true);
  input.bad_row_limit = kMostBadRows;
  input.shown_bad_rows = options.kept;

  SplitVerification result;
  result.chunks = source.chunk_count();
  for (std::int64_t chunk = 0; chunk < result.chunks; ++chunk) result.declared_rows += source.chunk_rows(chunk);

  OrderedChunks<Scratch> chunks(pool, [&] { return std::make_unique<Scratch>(plan, layout); });
  SequentialReadAhead read_ahead(source, result.chunks);
  const auto encode = [&](std::int64_t chunk, Scratch& scratch) {
    scratch.broken.reset();
    try {
      read_ahead.begin(chunk);
      scratch.encoder.encode_and_count(input, chunk, 0, builder_pointers, vocabulary_pointers, scratch.values, scratch.chunk);
    } catch (const DataError& error) {
      scratch.broken = error.what();
    } catch (const PluginError& error) {
      scratch.broken = error.what();
    }
  };
  const auto add = [&](std::int64_t chunk, Scratch& scratch) {
    const auto bad = static_cast<std::int64_t>(scratch.chunk.bad_rows.size());
    if (!scratch.broken && bad >= kMostBadRows) {
      const BadRow& first = scratch.chunk.bad_rows.front();
      scratch.broken = fmt::format("{}:{}: {} rows of one chunk and more are bad, beginning here: {}", first.source, first.line, bad, first.reason);
    }
    if (scratch.broken) {
      ++result.broken_chunks;
      if (result.broken_chunks <= options.kept) result.first_broken_chunks.push_back({chunk, *scratch.broken});
    } else {
      result.bad_rows += bad;
      result.sound_rows += source.chunk_rows(chunk) - bad;
      for (BadRow& row : scratch.chunk.bad_rows) {
        ++result.bad_rows_by_column[row.column];
        if (static_cast<std::int64_t>(result.first_bad_rows.size()) < options.kept) result.first_bad_rows.push_back(std::move(row));
      }
    }
    if (options.progress) options.progress(chunk + 1, result.sound_rows + result.bad_rows);
  };
  chunks.run(result.chunks, encode, add, [](std::int64_t, Scratch&) {});
  return result;
}

}  // namespace rechost

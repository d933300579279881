// What every loader owes to the host, checked through the C interface on any plugin with any options.
#ifndef RECHOST_TESTS_PLUGINS_DATASETS_CONFORMANCE_H
#define RECHOST_TESTS_PLUGINS_DATASETS_CONFORMANCE_H

#include <algorithm>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "plugins/datasets/opened_split.h"

namespace datasets_test {

class Conformance {
 public:
  Conformance(const Loader& loader, const Options& options) : loader_(loader), options_(options) {}

  // Every broken rule, as a sentence; empty = the loader conforms.
  std::vector<std::string> violations() {
    const std::vector<std::string> splits = loader_.splits(options_);
    expect(!splits.empty(), "there is no split");
    for (const std::string& split : splits) {
      expect(split == "train" || split == "valid" || split == "test" || (split == "all" && splits.size() == 1),
             "no split may be called " + split);
      split_ = split;
      const OpenedSplit opened(loader_, options_, split);
      check_schema(opened);
      check_chunks(opened);
      check_projections(opened);
      check_concurrent_reads(opened);
      check_moved_children(opened);
      check_refusals(opened);
      check_reopened(opened);
    }
    split_.clear();
    expect_error([&] { OpenedSplit(loader_, options_, "no such split"); }, "a split that does not exist was opened");
    return violations_;
  }

 private:
  void expect(bool holds, const std::string& rule) {
    if (!holds) violations_.push_back(split_.empty() ? rule : split_ + ": " + rule);
  }
  template <class Body>
  void expect_error(Body&& body, const std::string& rule) {
    try {
      body();
      expect(false, rule);
    } catch (const PluginError& error) {
      expect(std::string_view(error.what()).size() > 10, "an error says too little: '" + std::string(error.what()) + "'");
    }
  }

  void check_schema(const OpenedSplit& opened) {
    const ArrowSchema& schema = opened.schema.value;
    expect(std::string_view(schema.format) == "+s", "the schema is not a struct");
    std::set<std::string> names;
    int labels = 0;
    for (int64_t i = 0; i < schema.n_children; ++i) {
      const ArrowSchema& column = *schema.children[i];
      const std::string name = column.name;
      expect(!name.empty() && names.insert(name).second, "column name '" + name + "' is empty or not unique");
      const bool list = std::string_view(column.format) == "+l" || std::string_view(column.format) == "+L";
      const std::string format = list ? column.children[0]->format : column.format;
      expect(format.size() == 1 && std::string_view("fgcsilCSIbuUz").find(format[0]) != std::string_view::npos,
             name + ": format " + format);
      auto metadata = metadata_of(column.metadata);
      static const std::set<std::string> kRoles{"dense", "sparse", "label", "weight", "id", "time", "candidates"};
      expect(kRoles.contains(metadata["rechost.role"]), name + ": role '" + metadata["rechost.role"] + "'");
      const std::string entity = metadata["rechost.entity"];
      expect(entity.empty() || entity == "user" || entity == "item", name + ": entity '" + entity + "'");
      expect(metadata["rechost.key"].empty() || (metadata["rechost.key"] == "1" && !entity.empty()), name + ": a key of no entity");
      expect((metadata["rechost.role"] == "label") == !metadata["rechost.label_kind"].empty(),
             name + ": label_kind is for labels, and each has one");
      if (!metadata["rechost.cardinality"].empty())
        expect(std::stoll(metadata["rechost.cardinality"]) > 0, name + ": cardinality '" + metadata["rechost.cardinality"] + "'");
      labels += metadata["rechost.role"] == "label";
    }
    expect(schema.n_children > labels, "there is nothing but labels");
  }

  void check_chunks(const OpenedSplit& opened) {
    expect(opened.chunk_count() > 0, "there is no chunk");
    expect(opened.declared_rows() > 0, "there is no row");
    for (int64_t chunk = 0; chunk < opened.chunk_count(); ++chunk) {
      Released<ArrowArray> array;
      std::vector<BadRowRecord> bad_rows;
      opened.read_raw(chunk, opened.all_columns(), &array.value, bad_rows);
      expect(array->length == opened.chunk_rows(chunk) - static_cast<int64_t>(bad_rows.size()),
             "rows and bad rows do not add up to the declared rows");
      expect(array->n_children == opened.schema.value.n_children, "a chunk has other columns than were asked for");
      int64_t last = -1;
      for (const BadRowRecord& row : bad_rows) {
        expect(row.row_in_chunk > last && row.row_in_chunk < opened.chunk_rows(chunk), "bad rows out of order or range");
        expect(!row.reason.empty(), "a bad row without reason");
        last = row.row_in_chunk;
      }
      for (int64_t i = 0; i < array->n_children; ++i) check_array(*opened.schema.value.children[i], *array->children[i], array->length);
      if (!bad_rows.empty()) {
        Released<ArrowArray> refused;
        std::vector<BadRowRecord> none;
        try {
          opened.read_raw(chunk, opened.all_columns(), &refused.value, none, 0);
          expect(false, "the host refused a bad row and the read went on");
        } catch (const PluginError& error) {
          expect(error.what() == std::string("enough bad rows"), "the host's error did not come back: " + std::string(error.what()));
        }
      }
    }
  }

  void check_array(const ArrowSchema& schema, const ArrowArray& array, int64_t rows) {
    const std::string name = schema.name;
    expect(array.length == rows, name + ": the column has another length than its chunk");
    expect(array.null_count >= 0, name + ": null_count is not known");
    expect((schema.flags & ARROW_FLAG_NULLABLE) != 0 || array.null_count == 0, name + ": null where the schema forbids it");
    int64_t nulls = 0;
    auto metadata = metadata_of(schema.metadata);
    const bool list = std::string_view(schema.format) == "+l";
    const int64_t cardinality = metadata.contains("rechost.cardinality") ? std::stoll(metadata["rechost.cardinality"]) : -1;
    bool in_range = true, binary = true;
    for (int64_t row = 0; row < rows; ++row) {
      const std::string cell = detail::cell(schema, array, row);
      nulls += cell == "null" && array.null_count > 0;
      if (cardinality > 0 && !list && cell != "null") in_range = in_range && std::stoll(cell) >= 0 && std::stoll(cell) < cardinality;
      if (metadata["rechost.label_kind"] == "binary") binary = binary && (cell == "0" || cell == "1");
    }
    expect(in_range, name + ": an id is not in [0, cardinality)");
    expect(binary, name + ": a binary label is neither 0 nor 1");
    expect((schema.flags & ARROW_FLAG_NULLABLE) == 0 || nulls == array.null_count, name + ": null_count is wrong");
    if (!list) return;
    const auto* offsets = static_cast<const int32_t*>(array.buffers[1]);
    expect(offsets[0] == 0 && std::is_sorted(offsets, offsets + rows + 1), name + ": list offsets fall");
    expect(offsets[rows] == array.children[0]->length, name + ": the last list offset is not the number of values");
    if (cardinality <= 0) return;
    for (int64_t i = 0; i < array.children[0]->length; ++i) {
      const int64_t id = std::stoll(detail::cell(*schema.children[0], *array.children[0], i));
      in_range = in_range && id >= 0 && id < cardinality;
    }
    expect(in_range, name + ": an id is not in [0, cardinality)");
  }

  void check_projections(const OpenedSplit& opened) {
    const Table whole = opened.read(0, opened.all_columns());
    std::vector<uint32_t> backwards = opened.all_columns();
    std::reverse(backwards.begin(), backwards.end());
    std::vector<std::vector<uint32_t>> projections{backwards, {}};
    for (const uint32_t column : opened.all_columns()) projections.push_back({column});
    for (const std::vector<uint32_t>& projection : projections) {
      const Table part = opened.read(0, projection);
      expect(part.rows == whole.rows && part.bad_rows == whole.bad_rows, "the rows of a chunk depend on which columns are asked for");
      for (std::size_t i = 0; i < projection.size(); ++i)
        expect(part.columns[i] == whole.columns[projection[i]],
               whole.names[projection[i]] + ": read with other columns it is another column");
    }
  }

  void check_concurrent_reads(const OpenedSplit& opened) {
    std::vector<Table> serial;
    for (int64_t chunk = 0; chunk < opened.chunk_count(); ++chunk) serial.push_back(opened.read(chunk, opened.all_columns()));
    constexpr std::size_t kThreads = 4;
    std::vector<char> equal(kThreads, true);
    std::vector<std::thread> threads;
    for (std::size_t thread = 0; thread < kThreads; ++thread)
      threads.emplace_back([&, thread] {
        // Each thread begins elsewhere, so that different chunks are read at the same time.
        for (std::size_t i = 0; i < serial.size(); ++i) {
          const std::size_t chunk = (i + thread) % serial.size();
          equal[thread] = equal[thread] && opened.read(static_cast<int64_t>(chunk), opened.all_columns()) == serial[chunk];
        }
      });
    for (std::thread& thread : threads) thread.join();
    expect(std::all_of(equal.begin(), equal.end(), [](char is_equal) { return is_equal; }), "read by several threads, a chunk differs");
  }

  // A consumer may move a child out, release the parent, and use the child on.
  void check_moved_children(const OpenedSplit& opened) {
    Released<ArrowArray> child;
    Table before = opened.read(0, opened.all_columns());
    const std::size_t last = before.names.size() - 1;
    {
      Released<ArrowArray> parent;
      std::vector<BadRowRecord> bad_rows;
      opened.read_raw(0, opened.all_columns(), &parent.value, bad_rows);
      child.value = *parent->children[last];
      parent->children[last]->release = nullptr;
      parent->release(&parent.value);
      expect(parent->release == nullptr, "a released array does not say so");
    }
    std::vector<std::string> cells;
    for (int64_t row = 0; row < child->length; ++row) cells.push_back(detail::cell(*opened.schema.value.children[last], child.value, row));
    expect(cells == before.columns[last], "a child moved out of its chunk lost its values");
  }

  void check_refusals(const OpenedSplit& opened) {
    for (const int64_t chunk : {int64_t{-1}, opened.chunk_count()})
      expect_error([&] { opened.read(chunk, opened.all_columns()); },
                   "chunk " + std::to_string(chunk) + ", which does not exist, was read");
    expect_error([&] { opened.read(0, {static_cast<uint32_t>(opened.schema.value.n_children)}); }, "a column that does not exist was read");
  }

  void check_reopened(const OpenedSplit& opened) {
    const OpenedSplit again(loader_, options_, split_);
    expect(again.fingerprint() == opened.fingerprint(), "the fingerprint changed although nothing did");
    expect(metadata_of(again.schema.value.metadata) == metadata_of(opened.schema.value.metadata), "the schema's metadata changed");
    expect(again.read_all() == opened.read_all(), "the same split holds other data when it is opened again");
  }

  const Loader& loader_;
  Options options_;
  std::string split_;
  std::vector<std::string> violations_;
};

}  // namespace datasets_test

#endif  // RECHOST_TESTS_PLUGINS_DATASETS_CONFORMANCE_H

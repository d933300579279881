// note: {"sdk_major":1,"sdk_minor_needed":0,"name":"mistakes_data","version":"1.0.0","modules":[{"kind":"dataset","id":"mistakes_data"}]}
//
// A loader with a column of every shape that makes the mistake named by its option. All memory is static: arrays are views of it.
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

#include "rechost/dataset.h"

struct rh_dataset {
  std::string mistake;
};

namespace {

const rh_host* host = nullptr;
std::int64_t arrays_alive = 0;

rh_string text(std::string_view view) { return {view.data(), view.size()}; }

// ---- the columns ----

constexpr int kColumns = 7;
constexpr std::int64_t kRows = 3;
enum Place { kX, kId, kColor, kTags, kClick, kName, kPrices };

const float x_values[8] = {0, 1, 2, 3, 4, 5, 6, 7};
const std::int32_t id_values[8] = {10, 11, 12, 13, 14, 15, 16, 17};
const std::int8_t color_values[8] = {0, 1, 2, 0, 1, 2, 0, 1};
const std::int8_t color_values_beyond[8] = {0, 3, 2, 0, 1, 2, 0, 1};
const std::int32_t color_offsets[4] = {0, 3, 8, 12};
const char color_letters[] = "redgreenblue";
const std::int32_t tag_offsets[9] = {0, 0, 1, 3, 3, 4, 6, 7, 8};
const std::int32_t tag_offsets_descending[9] = {0, 2, 1, 3, 3, 4, 6, 7, 8};
const std::int32_t tag_offsets_negative[9] = {-1, 0, 1, 3, 3, 4, 6, 7, 8};
const std::int32_t tag_offsets_beyond[9] = {0, 0, 1, 9, 9, 9, 9, 9, 9};
const std::int64_t tag_values[8] = {100, 101, 102, 103, 104, 105, 106, 107};
const std::uint8_t all_but_first[1] = {0b11111110};
const std::uint8_t click_bits[1] = {0b10110010};
const std::int64_t name_offsets[9] = {0, 1, 3, 6, 10, 10, 10, 10, 10};
const std::int64_t name_offsets_descending[9] = {0, 3, 1, 6, 10, 10, 10, 10, 10};
const char name_letters[] = "abbcccdddd";
const std::int64_t price_offsets[9] = {0, 1, 2, 3, 4, 5, 6, 7, 8};

struct Schemas {
  ArrowSchema children[kColumns];
  ArrowSchema* pointers[kColumns];
  ArrowSchema elements[2];
  ArrowSchema* element_pointers[2];
  ArrowSchema dictionary;
  std::string metadata[kColumns + 1];
};

struct Arrays {
  ArrowArray children[kColumns];
  ArrowArray* pointers[kColumns];
  ArrowArray elements[2];
  ArrowArray* element_pointers[2];
  ArrowArray dictionary;
  const void* buffers[kColumns + 4][3];
};

Schemas schemas;
Arrays arrays;

std::string pairs(std::initializer_list<std::string_view> texts) {
  std::string bytes;
  const auto add_int = [&](std::int32_t value) { bytes.append(reinterpret_cast<const char*>(&value), sizeof(value)); };
  add_int(static_cast<std::int32_t>(texts.size() / 2));
  for (const std::string_view one : texts) {
    add_int(static_cast<std::int32_t>(one.size()));
    bytes += one;
  }
  return bytes;
}

void set_schema(int place, const char* format, const char* name, std::string metadata, std::int64_t flags = 0) {
  schemas.metadata[place] = std::move(metadata);
  schemas.children[place] = ArrowSchema{format, name, schemas.metadata[place].data(), flags, 0, nullptr, nullptr, nullptr, nullptr};
}

rh_error* schema(rh_dataset* dataset, ArrowSchema* out) {
  const std::string& mistake = dataset->mistake;
  if (mistake == "schema of nothing") return nullptr;
  set_schema(kX, "f", "x", pairs({RH_ROLE_KEY, "dense"}));
  set_schema(kId, "i", "id", pairs({RH_ROLE_KEY, "sparse", RH_ENTITY_KEY, "user", RH_IS_KEY_KEY, "1", RH_CARDINALITY_KEY, "18"}));
  set_schema(kColor, "c", "color", pairs({RH_ROLE_KEY, "sparse", RH_ENTITY_KEY, "item"}));
  set_schema(kTags, "+l", "tags", pairs({RH_ROLE_KEY, "sparse"}), ARROW_FLAG_NULLABLE);
  set_schema(kClick, "b", "click", pairs({RH_ROLE_KEY, "label"}));
  set_schema(kName, "U", "name", pairs({RH_ROLE_KEY, "id"}));
  set_schema(kPrices, "+L", "prices", pairs({RH_ROLE_KEY, "candidates"}));
  schemas.dictionary = ArrowSchema{"u", nullptr, nullptr, 0, 0, nullptr, nullptr, nullptr, nullptr};
  schemas.children[kColor].dictionary = &schemas.dictionary;
  for (int list = 0; list < 2; ++list) {
    ArrowSchema& column = schemas.children[list == 0 ? kTags : kPrices];
    schemas.elements[list] = ArrowSchema{"l", "item", nullptr, 0, 0, nullptr, nullptr, nullptr, nullptr};
    schemas.element_pointers[list] = &schemas.elements[list];
    column.n_children = 1;
    column.children = &schemas.element_pointers[list];
  }
  for (int i = 0; i < kColumns; ++i) schemas.pointers[i] = &schemas.children[i];
  schemas.metadata[kColumns] = pairs({RH_BEST_AUC_KEY, mistake == "best auc" ? "1.5" : "0.75"});
  *out = ArrowSchema{"+s",
                     "",
                     schemas.metadata[kColumns].data(),
                     0,
                     kColumns,
                     schemas.pointers,
                     nullptr,
                     [](ArrowSchema* self) {
                       self->release = nullptr; },
                     nullptr};
  if (mistake == "schema format") out->format = "f";
  if (mistake == "schema without columns") out->n_children = 0;
  if (mistake == "column without name") schemas.children[kX].name = "";
  if (mistake == "column twice") schemas.children[kId].name = "x";
  if (mistake == "column null") schemas.pointers[kId] = nullptr;
  if (mistake == "column without role") set_schema(kX, "f", "x", pairs({"author", "me"}));
  if (mistake == "unknown role") set_schema(kX, "f", "x", pairs({RH_ROLE_KEY, "numeric"}));
  if (mistake == "unknown type") set_schema(kX, "tdD", "x", pairs({RH_ROLE_KEY, "dense"}));
  if (mistake == "dense text") set_schema(kX, "u", "x", pairs({RH_ROLE_KEY, "dense"}));
  if (mistake == "float ids") set_schema(kX, "f", "x", pairs({RH_ROLE_KEY, "sparse"}));
  if (mistake == "cardinality") set_schema(kId, "i", "id", pairs({RH_ROLE_KEY, "sparse", RH_CARDINALITY_KEY, "-5"}));
  if (mistake == "cardinality of floats") set_schema(kX, "f", "x", pairs({RH_ROLE_KEY, "dense", RH_CARDINALITY_KEY, "5"}));
  if (mistake == "label kind") set_schema(kClick, "b", "click", pairs({RH_ROLE_KEY, "label", RH_LABEL_KIND_KEY, "ordinal"}));
  if (mistake == "entity") set_schema(kId, "i", "id", pairs({RH_ROLE_KEY, "sparse", RH_ENTITY_KEY, "shop"}));
  if (mistake == "dictionary of numbers") schemas.dictionary.format = "f";
  if (mistake == "dictionary of integers" || mistake == "null entry") {  // the first is no mistake
    schemas.dictionary.format = "l";
    schemas.children[kColor].flags = ARROW_FLAG_NULLABLE;
  }
  if (mistake == "list of nothing") schemas.children[kTags].n_children = 0;
  return nullptr;
}

void set_array(ArrowArray& array, int slot, std::int64_t length, std::int64_t buffers, const void* first, const void* second = nullptr) {
  arrays.buffers[slot][0] = nullptr;
  arrays.buffers[slot][1] = first;
  arrays.buffers[slot][2] = second;
  array = ArrowArray{length, 0, 0, buffers, 0, arrays.buffers[slot], nullptr, nullptr, nullptr, nullptr};
}

rh_error* report(const rh_read_request* request, std::int64_t row) {
  rh_bad_row bad{sizeof(rh_bad_row), 0, row, 7, text("part.csv"), text("x"), text("\"x7\" is not a number"), text("x7,1")};
  return request->bad_row(request->context, &bad);
}

rh_error* read_chunk(rh_dataset* dataset, const rh_read_request* request, ArrowArray* out) {
  const std::string& mistake = dataset->mistake;
  if (mistake == "read fails") return host->error_new(host, RH_ERROR_DATA, text("part.csv: ended in the middle of a row"));
  if (mistake == "read throws") throw std::runtime_error("thrown by read_chunk");
  if (mistake == "no array") return nullptr;
  std::int64_t length = kRows;
  rh_error* error = nullptr;
  if (mistake == "bad row" || mistake == "bad row counted as good") error = report(request, 1);
  if (mistake == "bad row") --length;
  if (mistake == "bad rows descend") error = report(request, 2);
  if (error == nullptr && mistake == "bad rows descend") error = report(request, 1);
  if (mistake == "bad row outside") error = report(request, kRows);
  if (error != nullptr) return error;

  Arrays& a = arrays;
  set_array(a.children[kX], kX, 8, 2, x_values);
  set_array(a.children[kId], kId, 8, 2, id_values);
  set_array(a.children[kColor], kColor, 8, 2, mistake == "dictionary entry" ? color_values_beyond : color_values);
  set_array(a.dictionary, kColumns, 3, 3, color_offsets, color_letters);
  a.children[kColor].dictionary = mistake == "no dictionary" ? nullptr : &a.dictionary;
  set_array(a.children[kTags], kTags, 8, 2, tag_offsets);
  if (mistake == "offsets descend") arrays.buffers[kTags][1] = tag_offsets_descending;
  if (mistake == "offsets negative") arrays.buffers[kTags][1] = tag_offsets_negative;
  if (mistake == "offsets beyond") arrays.buffers[kTags][1] = tag_offsets_beyond;
  if (mistake == "no offsets") arrays.buffers[kTags][1] = nullptr;
  arrays.buffers[kTags][0] = all_but_first;
  a.children[kTags].null_count = -1;
  set_array(a.children[kClick], kClick, 8, 2, click_bits);
  set_array(a.children[kName], kName, 8, 3, mistake == "text offsets descend" ? name_offsets_descending : name_offsets, name_letters);
  set_array(a.children[kPrices], kPrices, 8, 2, price_offsets);
  for (int list = 0; list < 2; ++list) {
    ArrowArray& column = a.children[list == 0 ? kTags : kPrices];
    set_array(a.elements[list], kColumns + 1 + list, 8, 2, tag_values);
    a.element_pointers[list] = &a.elements[list];
    column.n_children = 1;
    column.children = &a.element_pointers[list];
  }
  if (mistake == "null in list") {
    arrays.buffers[kColumns + 1][0] = all_but_first;
    a.elements[0].null_count = 1;
  }
  if (mistake == "null not allowed") {
    arrays.buffers[kX][0] = all_but_first;
    a.children[kX].null_count = 1;
  }
  if (mistake == "dictionary of integers" || mistake == "null entry") {
    static const std::int8_t colors[8] = {99, 2, 1, 0, 0, 0, 0, 0};  // what stands for a null is anything
    arrays.buffers[kColor][1] = colors;
    arrays.buffers[kColor][0] = all_but_first;
    a.children[kColor].null_count = 1;
    set_array(a.dictionary, kColumns, 3, 2, tag_values);
  }
  if (mistake == "null entry") {
    arrays.buffers[kColumns][0] = all_but_first;
    a.dictionary.null_count = 1;
  }
  if (mistake == "short column") a.children[kX].length = 2;
  if (mistake == "wrong buffers") a.children[kX].n_buffers = 3;
  if (mistake == "no values") arrays.buffers[kX][1] = nullptr;
  if (mistake == "children of a number") a.children[kX].n_children = 1;

  for (std::uint32_t i = 0; i < request->column_count; ++i) a.pointers[i] = &a.children[request->columns[i]];
  arrays.buffers[kColumns + 3][0] = nullptr;
  *out = ArrowArray{length,
                    0,
                    0,
                    1,
                    request->column_count,
                    arrays.buffers[kColumns + 3],
                    a.pointers,
                    nullptr,
                    [](ArrowArray* self) {
                      self->release = nullptr;
                      --arrays_alive;
                    },
                    nullptr};
  ++arrays_alive;
  if (mistake == "too few rows") --out->length;
  if (mistake == "too few columns") --out->n_children;
  if (mistake == "missing column") a.pointers[0] = nullptr;
  if (mistake == "row null") {
    arrays.buffers[kColumns + 3][0] = all_but_first;
    out->null_count = 1;
  }
  if (mistake == "sliced") {  // no mistake: rows 1 + 2 .. 3 + 2 of each column, element 1 on of the tags
    out->offset = 1;
    for (ArrowArray& child : a.children) {
      child.offset = 2;
      child.length = 6;
    }
    a.elements[0].offset = 1;
    a.elements[0].length = 7;
    a.dictionary.offset = 1;
    a.dictionary.length = 2;
    static const std::int8_t sliced_colors[8] = {9, 9, 9, 0, 1, 0, 9, 9};
    arrays.buffers[kColor][1] = sliced_colors;
  }
  return nullptr;
}

// ---- the rest ----

std::string mistake_of(const rh_config* config) { return {config->values->text.data, static_cast<std::size_t>(config->values->text.size)}; }

rh_error* list_splits(const rh_host*, const rh_config* config, rh_string* names, std::uint32_t, std::uint32_t* count) {
  const std::string mistake = mistake_of(config);
  names[0] = text("train");
  names[1] = text(mistake == "unknown split"       ? "training"
                  : mistake == "split twice"       ? "train"
                  : mistake == "all beside others" ? "all"
                                                   : "test");
  *count = mistake == "no split" ? 0 : 2;
  return nullptr;
}

rh_error* open(const rh_host*, const rh_config* config, rh_string, rh_dataset** dataset) {
  const std::string mistake = mistake_of(config);
  if (mistake == "open returns nothing") return nullptr;
  if (mistake == "open fails") return host->error_new(host, RH_ERROR_DATA, text("no such folder: /data/x"));
  *dataset = new rh_dataset{mistake};
  return nullptr;
}

std::int64_t chunk_count(const rh_dataset* dataset) { return dataset->mistake == "negative chunks" ? -1 : 2; }
std::int64_t chunk_rows(const rh_dataset* dataset, std::int64_t chunk) {
  return dataset->mistake == "negative rows" && chunk == 1 ? -3 : kRows;
}
rh_error* fingerprint(rh_dataset* dataset, std::uint64_t* value) {
  if (dataset->mistake == "fingerprint fails") return host->error_new(host, RH_ERROR_DATA, text("a file is gone"));
  *value = 42;
  return nullptr;
}
void close(rh_dataset* dataset) { delete dataset; }

const rh_dataset_interface table{
    sizeof(rh_dataset_interface), 0, list_splits, open, schema, chunk_count, chunk_rows, read_chunk, fingerprint, close};
const rh_option option{sizeof(rh_option),    RH_OPTION_STRING, 0, 0, text("mistake"), text("\"\""), text("which one"), 0, 0, nullptr, 0, 0,
                       rh_string{nullptr, 0}};

const void* get_interface(rh_string id) {
  const std::string_view name(id.data, id.size);
  if (name == RH_DATASET_INTERFACE) return &table;
  return name == "test.arrays_alive" ? &arrays_alive : nullptr;
}

const rh_module module{sizeof(rh_module), RH_MODULE_DATASET, text("mistakes_data"), text("a loader that errs on demand"), &option, 1,
                       sizeof(rh_option), get_interface};
const rh_plugin plugin{sizeof(rh_plugin), 1, 0, 1, text("mistakes_data"), text("1.0.0"), &module, sizeof(rh_module), 0, nullptr};

}  // namespace

extern "C" RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* from, rh_error**) {
  host = from;
  return &plugin;
}

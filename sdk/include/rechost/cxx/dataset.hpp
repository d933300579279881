// The C++20 layer over rechost/dataset.h: derive from `Dataset`, say what the columns are, decode a chunk into
// builders.
//
//   class Lines final : public rechost::Dataset {
//    public:
//     static std::vector<rechost::Option> options();
//     static std::vector<std::string_view> splits(const rechost::Config&) { return {"train", "test"}; }
//     static std::unique_ptr<rechost::Dataset> open(const rechost::Config& config, std::string_view split);
//
//     const std::vector<rechost::Column>& columns() const override;
//     std::int64_t chunk_count() const override;
//     std::int64_t chunk_rows(std::int64_t chunk) const override;
//     void read_chunk(const rechost::ReadRequest& request, rechost::ChunkBuilder& output) const override;
//     std::uint64_t fingerprint() const override;
//   };
//   RECHOST_PLUGIN("lines", "1.0.0", rechost::dataset_module<Lines>("lines", "my files"))
//
// The order of calls and the threads are those of rechost/dataset.h.
#ifndef RECHOST_CXX_DATASET_HPP
#define RECHOST_CXX_DATASET_HPP

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rechost/cxx/arrow.hpp"
#include "rechost/cxx/plugin.hpp"
#include "rechost/dataset.h"

namespace rechost {
inline namespace v1_0 __attribute__((visibility("hidden"))) {

    // A row that could not be decoded. The views need to live during bad_row() only.
    struct BadRow {
        std::int64_t row_in_chunk = 0;  // counting every declared row of the chunk, bad ones too
        std::int64_t line = 0;          // 1-based in `source`; 0 = unknown
        std::string_view source;
        std::string_view column;
        std::string_view reason;  // with the value
        std::string_view raw;     // the bytes of the row
    };

    namespace detail {

    // The host answered a bad row with an error: the read ends and that very error is returned.
    struct StoppedByHost {
        rh_error* error;
    };

    }  // namespace detail

    // What the host wants of one chunk. [reader, concurrent]
    class ReadRequest {
     public:
        explicit ReadRequest(const rh_read_request& request) : request_(request) {}

        std::int64_t chunk() const { return request_.chunk; }
        // Positions in the schema of the wanted columns, in the order of the answer.
        std::span<const std::uint32_t> columns() const { return {request_.columns, request_.column_count}; }

        // Leaves a row out. Call in order of row_in_chunk; throws when the host wants no more.
        void bad_row(const BadRow& row) const {
            rh_bad_row report{};
            report.struct_size = sizeof report;
            report.row_in_chunk = row.row_in_chunk;
            report.line = row.line;
            report.source = to_abi(row.source);
            report.column = to_abi(row.column);
            report.reason = to_abi(row.reason);
            report.raw = to_abi(row.raw);
            if (rh_error* error = request_.bad_row(request_.context, &report)) throw detail::StoppedByHost{error};
        }

     private:
        const rh_read_request& request_;
    };

    // One builder per wanted column of one chunk.
    class ChunkBuilder {
     public:
        ChunkBuilder(const std::vector<Column>& schema, std::span<const std::uint32_t> wanted)
            : slots_(schema.size(), nullptr) {
            builders_.reserve(wanted.size());
            for (const std::uint32_t position : wanted) {
                if (position >= schema.size())
                    throw Error("column " + std::to_string(position) + " was asked for, the schema has " +
                                std::to_string(schema.size()));
                if (slots_[position] != nullptr)
                    throw Error("column '" + schema[position].name + "' was asked for twice");
                slots_[position] = &builders_.emplace_back(schema[position]);
            }
        }
        // The slots point into the builders.
        ChunkBuilder(const ChunkBuilder&) = delete;
        ChunkBuilder& operator=(const ChunkBuilder&) = delete;

        // The builder of the column at this position of the schema, or null when the host does not want it.
        ColumnBuilder* column(std::size_t position) { return slots_[position]; }

        // Forgets every row from `rows` on, in all columns: how a row that turns out bad half-way is taken back.
        void truncate(std::int64_t rows) {
            for (ColumnBuilder& builder : builders_)
                builder.truncate(rows);
        }

        // Says how many rows there are. Needed only because a host may want no column at all.
        void set_rows(std::int64_t rows) { rows_ = rows; }

        void finish(ArrowArray& array) {
            const std::int64_t rows = rows_.value_or(builders_.empty() ? 0 : builders_.front().rows());
            for (const ColumnBuilder& builder : builders_)
                if (builder.rows() != rows)
                    throw Error("the loader made a column of " + std::to_string(builder.rows()) +
                                " rows in a chunk of " + std::to_string(rows));
            finish_struct(builders_, rows, array);
        }

     private:
        std::vector<ColumnBuilder> builders_;
        std::vector<ColumnBuilder*> slots_;
        std::optional<std::int64_t> rows_;
    };

    // One opened split.
    class Dataset {
     public:
        Dataset() = default;
        Dataset(const Dataset&) = delete;  // the host holds a pointer to it
        Dataset& operator=(const Dataset&) = delete;
        virtual ~Dataset() = default;

        // Constant while the split is open.
        virtual const std::vector<Column>& columns() const = 0;
        // [control] Best AUC that any model can reach on this split, where the data was planted.
        virtual std::optional<double> best_auc() { return std::nullopt; }

        virtual std::int64_t chunk_count() const = 0;
        // Declared rows: bad ones count.
        virtual std::int64_t chunk_rows(std::int64_t chunk) const = 0;
        // [reader, concurrent] Fills the builders that output.column() gives; reports the rows it leaves out.
        virtual void read_chunk(const ReadRequest& request, ChunkBuilder& output) const = 0;
        // [reader, concurrent] For a loader whose library makes Arrow arrays by itself: override this instead and leave
        // read_chunk empty.
        virtual void read_arrow(const ReadRequest& request, ArrowArray& array) const {
            ChunkBuilder output(columns(), request.columns());
            read_chunk(request, output);
            output.finish(array);
        }
        // [reader, concurrent] The chunks that will be read next, in this order: what lies far away may be fetched
        // (rechost/cxx/files.hpp, read_ahead). A hint; replaces the one before; must not wait.
        virtual void prefetch(std::span<const std::int64_t>) const {}
        // [reader, concurrent] Rows that were read but that the host cannot use: calls request.bad_row() for those of
        // `rows` (declared rows, ascending) that it can find, with their line, source and raw bytes.
        virtual void show_rows(const ReadRequest&, std::span<const std::int64_t> /*rows*/) const {}
        // [control] Changes when the data does. Options and split are added by this layer.
        virtual std::uint64_t fingerprint() const = 0;
    };

    // A 64-bit hash of what is added, in order (FNV-1a over bytes, lengths included so that parts do not run together).
    class Fingerprint {
     public:
        Fingerprint& add(std::string_view text) {
            add(static_cast<std::int64_t>(text.size()));
            for (const char byte : text)
                add_byte(static_cast<unsigned char>(byte));
            return *this;
        }
        Fingerprint& add(std::int64_t number) {
            for (int shift = 0; shift < 64; shift += 8)
                add_byte(static_cast<unsigned char>(static_cast<std::uint64_t>(number) >> shift));
            return *this;
        }
        std::uint64_t value() const { return hash_; }

     private:
        void add_byte(unsigned char byte) { hash_ = (hash_ ^ byte) * 0x100000001b3ull; }
        std::uint64_t hash_ = 0xcbf29ce484222325ull;
    };

    namespace detail {

    inline void add_options(Fingerprint& fingerprint, const rh_config& config) {
        const auto* at = reinterpret_cast<const char*>(config.values);
        for (std::uint64_t index = 0; index < config.value_count; ++index, at += config.value_stride) {
            const auto& value = *reinterpret_cast<const rh_option_value*>(at);
            fingerprint.add(to_view(value.name));
            // Only the fields of the option's own type are meant.
            switch (value.type) {
                case RH_OPTION_BOOL:
                case RH_OPTION_INT:
                    fingerprint.add(value.integer);
                    break;
                case RH_OPTION_FLOAT:
                    fingerprint.add(std::bit_cast<std::int64_t>(value.real));
                    break;
                case RH_OPTION_INT_LIST:
                    for (std::uint64_t i = 0; i < value.count; ++i)
                        fingerprint.add(value.integers[i]);
                    break;
                case RH_OPTION_FLOAT_LIST:
                    for (std::uint64_t i = 0; i < value.count; ++i)
                        fingerprint.add(std::bit_cast<std::int64_t>(value.reals[i]));
                    break;
                case RH_OPTION_STRING_LIST:
                    for (std::uint64_t i = 0; i < value.count; ++i)
                        fingerprint.add(to_view(value.texts[i]));
                    break;
                default:
                    fingerprint.add(to_view(value.text));
            }
        }
    }

    // What an rh_dataset* points to.
    struct OpenedDataset {
        std::unique_ptr<Dataset> dataset;
        std::uint64_t options_fingerprint = 0;
    };

    inline OpenedDataset& opened(rh_dataset* dataset) {
        return *reinterpret_cast<OpenedDataset*>(dataset);
    }
    inline const OpenedDataset& opened(const rh_dataset* dataset) {
        return *reinterpret_cast<const OpenedDataset*>(dataset);
    }

    inline std::string join(const std::vector<std::string_view>& names) {
        std::string text;
        for (const std::string_view name : names)
            text += (text.empty() ? "'" : ", '") + std::string(name) + "'";
        return text;
    }

    template <class Loader>
    rh_error* list_splits(const rh_host*, const rh_config* config, rh_string* names, std::uint32_t capacity,
                          std::uint32_t* count) {
        return fence([&] {
            const std::vector<std::string_view> splits = Loader::splits(Config(*config));
            for (std::uint32_t i = 0; i < splits.size() && i < capacity; ++i)
                names[i] = to_abi(splits[i]);
            *count = static_cast<std::uint32_t>(splits.size());
        });
    }

    template <class Loader>
    rh_error* open(const rh_host*, const rh_config* config, rh_string split, rh_dataset** dataset) {
        return fence([&] {
            const Config options(*config);
            const std::vector<std::string_view> splits = Loader::splits(options);
            if (std::find(splits.begin(), splits.end(), to_view(split)) == splits.end())
                throw ConfigError("there is no split '" + to_string(split) + "' under these options; there is " +
                                  join(splits));
            auto made = std::make_unique<OpenedDataset>();
            Fingerprint fingerprint;
            fingerprint.add(to_view(split));
            add_options(fingerprint, *config);
            made->options_fingerprint = fingerprint.value();
            made->dataset = Loader::open(options, to_view(split));
            *dataset = reinterpret_cast<rh_dataset*>(made.release());
        });
    }

    inline rh_error* schema(rh_dataset* dataset, ArrowSchema* schema) {
        return fence([&] {
            Dataset& source = *opened(dataset).dataset;
            Metadata metadata;
            if (const std::optional<double> best = source.best_auc()) {
                char text[32];
                metadata.emplace_back(RH_BEST_AUC_KEY,
                                      std::string(text, std::to_chars(text, text + sizeof text, *best).ptr));
            }
            export_schema(source.columns(), metadata, *schema);
        });
    }

    inline std::int64_t chunk_count(const rh_dataset* dataset) {
        return fence_value<std::int64_t>(-1, [&] { return opened(dataset).dataset->chunk_count(); });
    }

    inline std::int64_t chunk_rows(const rh_dataset* dataset, std::int64_t chunk) {
        return fence_value<std::int64_t>(-1, [&] { return opened(dataset).dataset->chunk_rows(chunk); });
    }

    inline rh_error* read_chunk(rh_dataset* dataset, const rh_read_request* request, ArrowArray* array) {
        return fence([&]() -> rh_error* {
            const Dataset& source = *opened(dataset).dataset;
            if (request->chunk < 0 || request->chunk >= source.chunk_count())
                throw Error("chunk " + std::to_string(request->chunk) + " was asked for, there are " +
                            std::to_string(source.chunk_count()));
            try {
                source.read_arrow(ReadRequest(*request), *array);
            } catch (const StoppedByHost& stop) {
                return stop.error;
            }
            return nullptr;
        });
    }

    inline rh_error* fingerprint(rh_dataset* dataset, std::uint64_t* value) {
        return fence([&] {
            const OpenedDataset& source = opened(dataset);
            *value = Fingerprint()
                         .add(static_cast<std::int64_t>(source.options_fingerprint))
                         .add(static_cast<std::int64_t>(source.dataset->fingerprint()))
                         .value();
        });
    }

    inline rh_error* prefetch_chunks(rh_dataset* dataset, const std::int64_t* chunks, std::uint64_t count) {
        return fence([&] { opened(dataset).dataset->prefetch({chunks, static_cast<std::size_t>(count)}); });
    }

    inline rh_error* show_rows(rh_dataset* dataset, const rh_read_request* request, const std::int64_t* rows,
                               std::uint64_t count) {
        return fence([&]() -> rh_error* {
            try {
                opened(dataset).dataset->show_rows(ReadRequest(*request), {rows, static_cast<std::size_t>(count)});
            } catch (const StoppedByHost& stop) {
                return stop.error;
            }
            return nullptr;
        });
    }

    inline void close(rh_dataset* dataset) {
        delete &opened(dataset);
    }

    template <class Loader>
    const void* dataset_interface(rh_string id) {
        static const rh_dataset_interface table = {sizeof(rh_dataset_interface),
                                                   0,
                                                   &list_splits<Loader>,
                                                   &open<Loader>,
                                                   &schema,
                                                   &chunk_count,
                                                   &chunk_rows,
                                                   &read_chunk,
                                                   &fingerprint,
                                                   &close,
                                                   &prefetch_chunks,
                                                   &show_rows};
        return to_view(id) == RH_DATASET_INTERFACE ? &table : nullptr;
    }

    }  // namespace detail

    // A module for RECHOST_PLUGIN. `Loader` has the three static functions shown at the top of this file.
    template <class Loader>
    Module dataset_module(std::string id, std::string doc) {
        return {RH_MODULE_DATASET, std::move(id), std::move(doc), Loader::options(),
                &detail::dataset_interface<Loader>};
    }

}  // namespace )
}  // namespace rechost

#endif  // RECHOST_CXX_DATASET_HPP

// Vocabulary::save and load. Per table two files that need no rechost to be read:
//   <table>.json  what the table is: encoder, rows, which rows mean unknown and missing, how a hash is made
//   <table>.tsv   line r + 1 belongs to row r: count in the training split, tab, value (vocabulary tables; empty for unknown and missing);
//                 empty for a dynamic table, whose keys are learnt with the model and lie beside its rows

#include <algorithm>
#include <charconv>
#include <fstream>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "data/vocabulary.h"

namespace rechost {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFormat = "rechost.vocabulary/1";
constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
constexpr const char* kScalingFile = "dense.scaling";  // no table's file ends like that
constexpr const char* kScalingFormat = "rechost.scaling/1";
constexpr const char* kKeyRule = "key = the integer; of a string xxh3_64(UTF-8 bytes, seed = salt) as a signed number, one more where that would be 0x8000000080000000, which "
                                 "stands for a missing value";
constexpr const char* kHashRule =
    "row = (xxh3_64(value, seed = salt) * hash_rows) >> 64, value as 8 little-endian bytes, strings as their UTF-8 bytes; hash h > 0 has the salt "
    "xxh3_64(h as 8 little-endian bytes, seed = salt)";

/// A table's name as a file name: letters, digits, '.', '_' and '-' stay, the rest is %XX. Never begins with a dot.
std::string file_stem(const std::string& table) {
  std::string stem;
  for (const char c : table) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || c == '-' ||
                       (c == '.' && !stem.empty());
    if (plain) {
      stem += c;
    } else {
      stem += fmt::format("%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    }
  }
  return stem;
}

void append_escaped(std::string_view value, std::string& out) {
  for (const char c : value) {
    switch (c) {
      case '\t': out += "\\t"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\\': out += "\\\\"; break;
      default: out += c;
    }
  }
}

/// False when the text has an escape that append_escaped does not write.
bool unescape(std::string_view text, std::string& value) {
  value.clear();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      value += text[i];
      continue;
    }
    if (++i == text.size()) return false;
    switch (text[i]) {
      case 't': value += '\t'; break;
      case 'n': value += '\n'; break;
      case 'r': value += '\r'; break;
      case '\\': value += '\\'; break;
      default: return false;
    }
  }
  return true;
}

std::string salt_text(std::uint64_t salt) { return fmt::format("0x{:016x}", salt); }

bool parse_integer(std::string_view text, std::int64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

EncoderKind encoder_kind(const std::string& name, const fs::path& file) {
  for (const EncoderKind kind : {EncoderKind::kIdentity, EncoderKind::kVocabulary, EncoderKind::kHash, EncoderKind::kBucket, EncoderKind::kDynamic}) {
    if (name == encoder_name(kind)) return kind;
  }
  fail<DataError>("{}: unknown encoder \"{}\"", file.string(), name);
}

/// Writes a file piece by piece: a vocabulary may be larger than what is left of the memory.
class TextWriter {
 public:
  explicit TextWriter(fs::path file) : file_(std::move(file)), out_(file_, std::ios::binary) {}

  /// What is to be written next is appended here; then comes piece_done().
  std::string text;
  void piece_done() {
    if (text.size() < kPieceBytes) return;
    out_.write(text.data(), static_cast<std::streamsize>(text.size()));
    text.clear();
  }
  void close() {
    out_.write(text.data(), static_cast<std::streamsize>(text.size()));
    out_.close();
    if (!out_) fail<DataError>("cannot write {}: is the disk full?", file_.string());
  }

 private:
  fs::path file_;
  std::ofstream out_;
};

std::string read_file(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (!in) fail<DataError>("cannot read {}", file.string());
  return text;
}

/// One line per row: calls row(line number from 0, count, text after the tab). Holds a piece of the file at a time.
template <typename Row>
std::int64_t for_each_row(const fs::path& file, Row&& row) {
  std::ifstream in(file, std::ios::binary);
  if (!in) fail<DataError>("cannot read {}", file.string());
  std::string piece;
  std::int64_t line = 0;
  while (in) {
    const std::size_t rest = piece.size();
    piece.resize(std::max(2 * rest, kPieceBytes));  // a line may be longer than a piece
    in.read(piece.data() + rest, static_cast<std::streamsize>(piece.size() - rest));
    piece.resize(rest + static_cast<std::size_t>(in.gcount()));
    if (in.bad()) fail<DataError>("cannot read {}", file.string());
    std::string_view text = piece;
    for (std::size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
      const std::string_view content = text.substr(0, end);
      const std::size_t tab = content.find('\t');
      std::int64_t count = 0;
      if (!parse_integer(content.substr(0, tab), count)) {
        fail<DataError>("{}:{}: \"{}\" is no count", file.string(), line + 1, content.substr(0, tab));
      }
      row(line, count, tab == std::string_view::npos ? std::string_view{} : content.substr(tab + 1));
      text.remove_prefix(end + 1);
      ++line;
    }
    piece.erase(0, piece.size() - text.size());
  }
  if (!piece.empty()) fail<DataError>("{}:{}: the line does not end: the file is cut off", file.string(), line + 1);
  return line;
}

std::map<std::string, DenseScaling, std::less<>> load_scalings(const fs::path& file) {
  std::map<std::string, DenseScaling, std::less<>> scalings;
  if (!fs::exists(file)) return scalings;  // no feature is scaled
  try {
    const nlohmann::json content = nlohmann::json::parse(read_file(file));
    if (content.at("format") != kScalingFormat) {
      fail<DataError>("{}: format {}, expected \"{}\"", file.string(), content.at("format").dump(), kScalingFormat);
    }
    for (const auto& [feature, entry] : content.at("features").items()) {
      const DenseScaling::Kind kind = DenseScaling::parse(entry.at("scale").get<std::string>());
      if (kind == DenseScaling::Kind::kNone) fail<DataError>("{}: unknown scale {} of \"{}\"", file.string(), entry.at("scale").dump(), feature);
      scalings[feature] = {kind, entry.at("offset").get<double>(), entry.at("factor").get<double>()};
    }
  } catch (const nlohmann::json::exception& error) {
    fail<DataError>("{}: {}", file.string(), error.what());
  }
  return scalings;
}

}  // namespace

void Vocabulary::save(const fs::path& directory, std::vector<std::string>& files) const {
  const std::string stem = file_stem(encoding_.name);
  const bool has_values = encoding_.encoder == EncoderKind::kVocabulary;

  nlohmann::ordered_json header;
  header["format"] = kFormat;
  header["table"] = encoding_.name;
  header["encoder"] = encoder_name(encoding_.encoder);
  header["values"] = encoding_.values == ValueKind::kInteger ? "integer" : "string";
  header["rows"] = rows_;
  header["unknown_row"] = has_values || dynamic() ? nlohmann::ordered_json(kUnknownRow) : nlohmann::ordered_json(nullptr);
  header["missing_row"] = missing_row_ >= 0 ? nlohmann::ordered_json(missing_row_) : nlohmann::ordered_json(nullptr);
  header["rows_file"] = stem + ".tsv";
  switch (encoding_.encoder) {
    case EncoderKind::kIdentity:
      header["cardinality"] = encoding_.cardinality;
      break;
    case EncoderKind::kHash:
      header["hash_rows"] = encoding_.hash_rows;
      header["salt"] = salt_text(salts_.front());
      if (!encoding_.salt.empty()) header["salt_word"] = encoding_.salt;
      if (encoding_.hashes > 1) header["hashes"] = encoding_.hashes;
      header["hash"] = kHashRule;
      break;
    case EncoderKind::kBucket:
      header["boundaries"] = encoding_.boundaries;
      header["buckets"] = encoding_.buckets;
      break;
    case EncoderKind::kVocabulary:
      header["min_count"] = encoding_.min_count;
      header["max_rows"] = encoding_.max_rows;
      break;
    case EncoderKind::kDynamic:
      header["min_count"] = encoding_.min_count;
      header["max_rows"] = encoding_.max_rows;
      header["admit_probability"] = encoding_.admit_probability;
      header["evict"] = eviction_name(encoding_.evict);
      header["max_age_steps"] = encoding_.max_age_steps;
      header["half_life_steps"] = encoding_.half_life_steps;
      header["memory_bytes"] = encoding_.memory_bytes;
      header["salt"] = salt_text(salts_.front());
      if (!encoding_.salt.empty()) header["salt_word"] = encoding_.salt;
      header["key"] = kKeyRule;
      break;
  }

  TextWriter rows(directory / (stem + ".tsv"));
  for (std::int32_t row = 0; row < counts_.size(); ++row) {
    rows.text += std::to_string(counts_[row]);
    if (has_values) {
      rows.text += '\t';
      if (is_value_row(row)) append_escaped(value_text(row), rows.text);
    }
    rows.text += '\n';
    rows.piece_done();
  }
  rows.close();
  TextWriter header_file(directory / (stem + ".json"));
  header_file.text = header.dump(2) + "\n";
  header_file.close();
  files.push_back(stem + ".json");
  files.push_back(stem + ".tsv");
}

Vocabulary Vocabulary::load(const fs::path& header_file) {
  TableEncoding encoding;
  std::int64_t rows = 0;
  std::string salt;
  fs::path rows_file;
  try {
    const nlohmann::json header = nlohmann::json::parse(read_file(header_file));
    if (header.at("format") != kFormat) {
      fail<DataError>("{}: format {}, expected \"{}\"", header_file.string(), header.at("format").dump(), kFormat);
    }
    encoding.name = header.at("table").get<std::string>();
    encoding.encoder = encoder_kind(header.at("encoder").get<std::string>(), header_file);
    encoding.values = header.at("values") == "string" ? ValueKind::kString : ValueKind::kInteger;
    encoding.can_be_missing = !header.at("missing_row").is_null();
    encoding.cardinality = header.value("cardinality", std::int64_t{0});
    encoding.hash_rows = header.value("hash_rows", std::int64_t{0});
    encoding.hashes = header.value("hashes", std::int64_t{1});
    encoding.salt = header.value("salt_word", std::string{});
    encoding.boundaries = header.value("boundaries", std::vector<double>{});
    encoding.buckets = header.value("buckets", std::int64_t{0});
    encoding.min_count = header.value("min_count", std::int64_t{1});
    encoding.max_rows = header.value("max_rows", std::int64_t{0});
    encoding.admit_probability = header.value("admit_probability", 1.0);
    if (header.value("evict", std::string{}) == eviction_name(EvictionRule::kFrequency)) encoding.evict = EvictionRule::kFrequency;
    encoding.max_age_steps = header.value("max_age_steps", std::int64_t{0});
    encoding.half_life_steps = header.value("half_life_steps", std::int64_t{0});
    encoding.memory_bytes = header.value("memory_bytes", std::int64_t{0});
    salt = header.value("salt", std::string{});
    rows = header.at("rows").get<std::int64_t>();
    rows_file = header_file.parent_path() / fs::path(header.at("rows_file").get<std::string>()).filename();
  } catch (const nlohmann::json::exception& error) {
    fail<DataError>("{}: {}", header_file.string(), error.what());
  }

  RowCounts value_counts;
  std::vector<std::int64_t> counts;
  std::vector<std::int64_t> integers;
  std::vector<char> characters;
  std::vector<std::uint64_t> ends;
  std::string value;
  const bool has_values = encoding.encoder == EncoderKind::kVocabulary;
  if (has_values && encoding.values == ValueKind::kInteger) {
    std::error_code no_file;  // for_each_row() says so
    const std::uintmax_t bytes = fs::file_size(rows_file, no_file);
    if (!no_file && rows > 0) integers.reserve(static_cast<std::size_t>(std::min(static_cast<std::uintmax_t>(rows), bytes)));
  }
  const std::int64_t lines = for_each_row(rows_file, [&](std::int64_t line, std::int64_t count, std::string_view field) {
    if (!has_values) {
      counts.push_back(count);
      return;
    }
    value_counts.append(count, 1);
    if (line < kFirstValueRow) return;
    if (encoding.values == ValueKind::kString && unescape(field, value)) {
      characters.insert(characters.end(), value.begin(), value.end());
      ends.push_back(characters.size());
      return;
    }
    std::int64_t integer = 0;
    if (encoding.values != ValueKind::kInteger || !parse_integer(field, integer)) {
      fail<DataError>("{}:{}: \"{}\" is no value", rows_file.string(), line + 1, field);
    }
    integers.push_back(integer);
  });
  const bool dynamic = encoding.encoder == EncoderKind::kDynamic;
  if (lines != (dynamic ? 0 : rows)) fail<DataError>("{} has {} lines, {} announces {} rows", rows_file.string(), lines, header_file.string(), rows);

  const auto make = [&] {
    if (!has_values) return Vocabulary(encoding);
    try {
      return encoding.values == ValueKind::kInteger ? Vocabulary(encoding, IntegerRows(std::move(integers)))
                                                    : Vocabulary(encoding, StringRows(std::move(characters), std::move(ends)));
    } catch (const RepeatedValue& repeated) {
      fail<DataError>("{}:{}: {} was there before", rows_file.string(), kFirstValueRow + repeated.number() + 1, repeated.what());
    }
  };
  Vocabulary made = make();
  if (made.rows() != rows) fail<DataError>("{}: {} rows announced, its encoder has {}", header_file.string(), rows, made.rows());
  if ((encoding.encoder == EncoderKind::kHash || dynamic) && salt != salt_text(made.salts_.front())) {
    fail<DataError>("{}: salt \"{}\" does not belong to table \"{}\"", header_file.string(), salt, encoding.name);
  }
  if (dynamic) return made;
  made.set_counts(has_values ? std::move(value_counts) : RowCounts(counts));
  return made;
}

std::vector<std::string> Vocabularies::save(const fs::path& directory) const {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) fail<DataError>("cannot create {}: {}", directory.string(), error.message());
  std::vector<std::string> files;
  for (const Vocabulary& vocabulary : tables_) vocabulary.save(directory, files);
  if (scalings_.empty()) return files;
  nlohmann::ordered_json scalings = nlohmann::ordered_json::object();
  for (const auto& [feature, scaling] : scalings_) {
    scalings[feature] = {{"scale", DenseScaling::name(scaling.kind)}, {"offset", scaling.offset}, {"factor", scaling.factor}};
  }
  TextWriter file(directory / kScalingFile);
  file.text = nlohmann::ordered_json{{"format", kScalingFormat}, {"rule", "(value - offset) * factor"}, {"features", scalings}}.dump(2) + "\n";
  file.close();
  files.emplace_back(kScalingFile);
  return files;
}

Vocabularies Vocabularies::load(const fs::path& directory) {
  std::vector<fs::path> headers;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, error)) {
    if (entry.path().extension() == ".json") headers.push_back(entry.path());
  }
  if (error) fail<DataError>("cannot read {}: {}", directory.string(), error.message());
  std::sort(headers.begin(), headers.end());
  std::vector<Vocabulary> tables;
  for (const fs::path& header : headers) tables.push_back(Vocabulary::load(header));
  Vocabularies loaded(std::move(tables));
  loaded.set_scalings(load_scalings(directory / kScalingFile));
  return loaded;
}

}  // namespace rechost

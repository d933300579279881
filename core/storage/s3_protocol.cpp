#include "storage/s3_protocol.h"

#include <charconv>
#include <optional>

#include "base/error.h"
#include "storage/http_client.h"

namespace rechost {
namespace {

/// The text between <name> and </name> from `from` on, which moves behind it. These answers nest no element in one of its own name, and
/// the elements wanted here have no attributes.
std::optional<std::string_view> next_element(std::string_view xml, std::string_view name, std::size_t& from) {
  const std::string open = fmt::format("<{}>", name), close = fmt::format("</{}>", name);
  const std::size_t begin = xml.find(open, from);
  if (begin == std::string_view::npos) return std::nullopt;
  const std::size_t end = xml.find(close, begin);
  if (end == std::string_view::npos) return std::nullopt;
  from = end + close.size();
  return xml.substr(begin + open.size(), end - begin - open.size());
}

std::optional<std::string_view> element(std::string_view xml, std::string_view name) {
  std::size_t from = 0;
  return next_element(xml, name, from);
}

void append_utf8(std::string& text, std::uint32_t code) {
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += static_cast<char>(0xc0 | code >> 6);
    text += static_cast<char>(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    text += static_cast<char>(0xe0 | code >> 12);
    text += static_cast<char>(0x80 | (code >> 6 & 0x3f));
    text += static_cast<char>(0x80 | (code & 0x3f));
  } else {
    text += static_cast<char>(0xf0 | code >> 18);
    text += static_cast<char>(0x80 | (code >> 12 & 0x3f));
    text += static_cast<char>(0x80 | (code >> 6 & 0x3f));
    text += static_cast<char>(0x80 | (code & 0x3f));
  }
}

std::string without_entities(std::string_view text) {
  std::string result;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const std::size_t end = text[at] == '&' ? text.find(';', at) : std::string_view::npos;
    if (end == std::string_view::npos) {
      result += text[at];
      continue;
    }
    const std::string_view name = text.substr(at + 1, end - at - 1);
    at = end;
    if (name == "amp") result += '&';
    if (name == "lt") result += '<';
    if (name == "gt") result += '>';
    if (name == "quot") result += '"';
    if (name == "apos") result += '\'';
    if (!name.starts_with('#')) continue;
    const bool hexadecimal = name.starts_with("#x");
    const std::string_view digits = name.substr(hexadecimal ? 2 : 1);
    std::uint32_t code = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), code, hexadecimal ? 16 : 10);
    append_utf8(result, code);
  }
  return result;
}

/// Keys come as in a form: '+' is a space.
std::string without_percents(std::string_view text) {
  std::string result;
  for (std::size_t at = 0; at < text.size(); ++at) {
    unsigned code = 0;
    if (text[at] == '%' && at + 2 < text.size() &&
        std::from_chars(text.data() + at + 1, text.data() + at + 3, code, 16).ptr == text.data() + at + 3) {
      result += static_cast<char>(code);
      at += 2;
    } else {
      result += text[at] == '+' ? ' ' : text[at];
    }
  }
  return result;
}

}  // namespace

std::string s3_bucket_address(std::string_view endpoint, std::string_view region, std::string_view bucket) {
  // Other servers rarely have a name per bucket.
  if (!endpoint.empty()) return fmt::format("{}/{}", endpoint, percent_encoded(bucket));
  // The certificate of *.s3.<region> does not cover names with dots.
  if (bucket.find('.') != std::string_view::npos) return fmt::format("https://s3.{}.amazonaws.com/{}", region, percent_encoded(bucket));
  return fmt::format("https://{}.s3.{}.amazonaws.com", percent_encoded(bucket), region);
}

std::string s3_list_query(std::string_view prefix, std::string_view continuation) {
  const std::string page = continuation.empty() ? "" : fmt::format("continuation-token={}&", percent_encoded(continuation));
  return fmt::format("{}encoding-type=url&list-type=2&prefix={}", page, percent_encoded(prefix));
}

S3Page parse_s3_page(std::string_view xml) {
  if (xml.find("<ListBucketResult") == std::string_view::npos) fail("the answer is no list of objects: \"{}\"", xml.substr(0, 200));
  const bool encoded = element(xml, "EncodingType").value_or("") == "url";
  S3Page page;
  std::size_t from = 0;
  while (const auto contents = next_element(xml, "Contents", from)) {
    S3Object object;
    object.key = without_entities(element(*contents, "Key").value_or(""));
    if (encoded) object.key = without_percents(object.key);
    const std::string_view size = element(*contents, "Size").value_or("");
    if (object.key.empty() || size.empty() || std::from_chars(size.data(), size.data() + size.size(), object.size).ptr != size.data() + size.size()) {
      fail("an object of the list has no name or no size");
    }
    page.objects.push_back(std::move(object));
  }
  if (element(xml, "IsTruncated").value_or("") == "true") {
    page.continuation = without_entities(element(xml, "NextContinuationToken").value_or(""));
    if (page.continuation.empty()) fail("the list of objects goes on, and does not say where");
  }
  return page;
}

S3Problem parse_s3_problem(std::string_view xml) {
  return {without_entities(element(xml, "Code").value_or("")), without_entities(element(xml, "Message").value_or("")),
          without_entities(element(xml, "Region").value_or(""))};
}

}  // namespace rechost

#include <catch2/catch.hpp>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "data/value_index.h"

namespace rechost {
namespace {

/// Texts of 0 to 20 bytes, some of which differ only in length or in a zero byte.
std::vector<std::string> draw_texts(std::size_t count, unsigned seed) {
  std::mt19937_64 draw(seed);
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < count; ++i) {
    std::string text;
    const std::size_t length = draw() % 21;
    const std::size_t letters = i % 2 == 0 ? 2 : 26;
    for (std::size_t k = 0; k < length; ++k) text += static_cast<char>(letters == 2 ? draw() % 2 : 'a' + draw() % letters);
    texts.push_back(text);
  }
  return texts;
}

TEST_CASE("value index: many texts at once get the numbers that they get one by one") {
  for (const std::size_t count : {0, 1, 11, 12, 13, 5000}) {
    const std::vector<std::string> texts = draw_texts(count, static_cast<unsigned>(count));
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    std::map<std::string, std::int32_t> wanted;
    StringIndex one_by_one, at_once;
    std::vector<std::int32_t> numbers(count), found(count);
    at_once.insert_all(views, numbers.data());
    for (std::size_t i = 0; i < count; ++i) {
      const std::int32_t number = wanted.emplace(texts[i], static_cast<std::int32_t>(wanted.size())).first->second;
      REQUIRE(one_by_one.insert(texts[i]) == number);
      REQUIRE(numbers[i] == number);
      REQUIRE(at_once.value(number) == texts[i]);
    }
    REQUIRE(at_once.size() == static_cast<std::int64_t>(wanted.size()));
    at_once.find_all(views, found.data());
    CHECK(found == numbers);
    // Some that are not there.
    for (const std::string& text : draw_texts(200, 99)) {
      const auto place = wanted.find(text);
      const std::int32_t number = place == wanted.end() ? -1 : place->second;
      const std::string_view view = text;
      std::int32_t at = 0;
      at_once.find_all({&view, 1}, &at);
      REQUIRE(at == number);
      REQUIRE(at_once.find(text) == number);
    }
    at_once.clear();
    CHECK(at_once.size() == 0);
    CHECK(at_once.find("a") == -1);
  }
}

}  // namespace
}  // namespace rechost

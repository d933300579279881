#include "splits.h"

#include <algorithm>
#include <cmath>

#include "rechost/cxx/dataset.hpp"

namespace ratings {
namespace {

// In [0, 1). Made from the ids as they are written, not from their numbers, which depend on the order of the file.
std::vector<double> hashes_of(const Interactions& interactions, std::uint64_t seed) {
  const auto hashes_of_ids = [seed](const IdTable& table, std::int64_t salt) {
    std::vector<std::int64_t> hashes;
    for (std::int32_t number = 0; number < table.size(); ++number)
      hashes.push_back(static_cast<std::int64_t>(
          rechost::Fingerprint().add(static_cast<std::int64_t>(seed)).add(salt).add(table.written(number)).value()));
    return hashes;
  };
  const std::vector<std::int64_t> users = hashes_of_ids(interactions.users, 1), items = hashes_of_ids(interactions.items, 2);
  std::vector<double> result(interactions.size());
  for (std::size_t i = 0; i < result.size(); ++i) {
    std::uint64_t bits = rechost::Fingerprint()
                             .add(users[static_cast<std::size_t>(interactions.user[i])])
                             .add(items[static_cast<std::size_t>(interactions.item[i])])
                             .value();
    // The high bits of that hash mix less well than they should.
    bits = (bits ^ (bits >> 32)) * 0xd6e8feb86659fd93ull;
    bits = (bits ^ (bits >> 32)) * 0xd6e8feb86659fd93ull;
    result[i] = static_cast<double>((bits ^ (bits >> 32)) >> 11) * 0x1p-53;
  }
  return result;
}

}  // namespace

UserOrder order_by_user(const Interactions& interactions) {
  UserOrder order;
  order.begin.assign(static_cast<std::size_t>(interactions.users.size()) + 1, 0);
  for (const std::int32_t user : interactions.user) ++order.begin[static_cast<std::size_t>(user) + 1];
  for (std::size_t user = 1; user < order.begin.size(); ++user) order.begin[user] += order.begin[user - 1];
  order.sequence.resize(interactions.size());
  std::vector<std::uint32_t> next(order.begin.begin(), order.begin.end() - 1);
  for (std::uint32_t i = 0; i < interactions.size(); ++i) order.sequence[next[static_cast<std::size_t>(interactions.user[i])]++] = i;
  const auto earlier = [&interactions](std::uint32_t a, std::uint32_t b) {
    if (!interactions.time.empty() && interactions.time[a] != interactions.time[b]) return interactions.time[a] < interactions.time[b];
    return interactions.part[a] < interactions.part[b];
  };
  for (std::size_t user = 0; user + 1 < order.begin.size(); ++user)
    std::stable_sort(order.sequence.begin() + order.begin[user], order.sequence.begin() + order.begin[user + 1], earlier);
  order.place.resize(interactions.size());
  for (std::uint32_t place = 0; place < order.sequence.size(); ++place) order.place[order.sequence[place]] = place;
  return order;
}

void split_leave_one_out(Interactions& interactions, const UserOrder& order, bool with_valid) {
  for (std::size_t user = 0; user + 1 < order.begin.size(); ++user) {
    const std::uint32_t begin = order.begin[user], end = order.begin[user + 1];
    if (end - begin >= 2) interactions.part[order.sequence[end - 1]] = Part::kTest;
    if (end - begin >= 3 && with_valid) interactions.part[order.sequence[end - 2]] = Part::kValid;
  }
}

void split_by_ratio(Interactions& interactions, const UserOrder& order, const Ratios& ratios) {
  const std::vector<double> hashes = hashes_of(interactions, ratios.seed);
  if (!ratios.per_user) {
    for (std::size_t i = 0; i < interactions.size(); ++i)
      interactions.part[i] = hashes[i] < ratios.test ? Part::kTest : hashes[i] < ratios.test + ratios.valid ? Part::kValid : Part::kTrain;
    return;
  }
  std::vector<std::uint32_t> shuffled;
  for (std::size_t user = 0; user + 1 < order.begin.size(); ++user) {
    shuffled.assign(order.sequence.begin() + order.begin[user], order.sequence.begin() + order.begin[user + 1]);
    std::stable_sort(shuffled.begin(), shuffled.end(), [&hashes](std::uint32_t a, std::uint32_t b) { return hashes[a] < hashes[b]; });
    const auto count = static_cast<double>(shuffled.size());
    const auto tests = static_cast<std::size_t>(std::llround(count * ratios.test));
    const auto held_out = static_cast<std::size_t>(std::llround(count * (ratios.test + ratios.valid)));
    // A user keeps at least one interaction for training.
    for (std::size_t i = 0; i < held_out && i + 1 < shuffled.size(); ++i)
      interactions.part[shuffled[i]] = i < tests ? Part::kTest : Part::kValid;
  }
}

void history_of(const Interactions& interactions, const UserOrder& order, std::size_t interaction, std::size_t longest,
                std::vector<std::int32_t>& items) {
  items.clear();
  const std::uint32_t begin = order.begin[static_cast<std::size_t>(interactions.user[interaction])];
  for (std::uint32_t place = order.place[interaction]; place > begin && items.size() < longest; --place) {
    const std::uint32_t earlier = order.sequence[place - 1];
    // A repeated interaction would give the target away.
    if (interactions.part[earlier] == Part::kTrain && interactions.item[earlier] != interactions.item[interaction])
      items.push_back(interactions.item[earlier]);
  }
  std::reverse(items.begin(), items.end());
}

}  // namespace ratings

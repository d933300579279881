// What every communicator must do, for each that there is.
#include "comm/communicator.h"

#include <catch2/catch.hpp>
#include <future>

#include "base/error.h"
#include "comm/single_communicator.h"
#include "core/comm/in_threads.h"

using namespace rechost;
using rechost::test::with_tcp;
using rechost::test::with_ranks_on;

namespace {

using Body = std::function<void(Communicator&)>;

/// Catch2's checks belong to one thread: what a rank finds wrong is thrown.
void require(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error(what);
}

void on_each_communicator(const Body& body) {
  SingleCommunicator single;
  body(single);
  for (const int ranks : {1, 2, 3, 5}) with_tcp(ranks, body);
  for (const std::size_t ranks : {2u, 3u, 6u}) with_ranks_on(std::vector<std::string>(ranks, "one"), body);
  with_ranks_on({"one", "two", "two", "three", "one"}, body);
}

std::byte letter(int from, int to, std::int64_t i) { return static_cast<std::byte>((from * 31 + to * 7 + i) & 0xff); }

/// So many rounds in which rank a has size(a, b) bytes for rank b.
template <typename Size>
void exchange_letters(Communicator& all, const Size& size, int rounds) {
  std::vector<std::byte> send;
  std::vector<std::int64_t> send_bytes;
  std::vector<std::int64_t> receive_bytes;
  std::vector<std::byte> expected;
  for (int rank = 0; rank < all.world_size(); ++rank) {
    send_bytes.push_back(size(all.rank(), rank));
    receive_bytes.push_back(size(rank, all.rank()));
    for (std::int64_t i = 0; i < send_bytes.back(); ++i) send.push_back(letter(all.rank(), rank, i));
    for (std::int64_t i = 0; i < receive_bytes.back(); ++i) expected.push_back(letter(rank, all.rank(), i));
  }
  for (int round = 0; round < rounds; ++round) {
    std::vector<std::byte> received(expected.size());
    all.all_to_all(send, send_bytes, received, receive_bytes);
    require(received == expected, "all_to_all mixed something up");
    std::vector<std::vector<std::byte>> packets;
    all.all_to_all_packets(send, send_bytes, packets);
    std::vector<std::byte> joined;
    for (std::size_t rank = 0; rank < packets.size(); ++rank) {
      require(static_cast<std::int64_t>(packets[rank].size()) == receive_bytes[rank], "a packet has another size");
      joined.insert(joined.end(), packets[rank].begin(), packets[rank].end());
    }
    require(joined == expected, "all_to_all_packets mixed something up");
  }
}

}  // namespace

TEST_CASE("all_reduce_sum adds up in the order of the ranks, whatever the size") {
  on_each_communicator([](Communicator& all) {
    for (const std::size_t size : {0u, 1u, 2u, 7u, 1000u, 100003u}) {
      std::vector<float> values(size);
      std::vector<float> expected(size, 0.0F);
      for (std::size_t i = 0; i < size; ++i) {
        const auto value = [&](int rank) { return 0.1F * static_cast<float>(rank + 1) + 1e-3F * static_cast<float>(i % 97); };
        values[i] = value(all.rank());
        for (int rank = 0; rank < all.world_size(); ++rank) expected[i] = rank == 0 ? value(0) : expected[i] + value(rank);
      }
      all.all_reduce_sum(values);
      require(values == expected, "a sum differs in some bit");
    }
  });
}

TEST_CASE("reduce_scatter_sum gives each rank its part of the sum, with the same bits as all_reduce_sum") {
  on_each_communicator([](Communicator& all) {
    for (const std::int64_t size : {0, 1, 1000, 30011}) {
      // Parts of different sizes; one rank has none.
      std::vector<std::int64_t> sizes;
      for (int rank = 0; rank < all.world_size(); ++rank) sizes.push_back(rank == 1 ? 0 : size + 3 * rank);
      std::vector<float> values;
      std::vector<float> expected;
      for (int part = 0; part < all.world_size(); ++part) {
        for (std::int64_t i = 0; i < sizes[static_cast<std::size_t>(part)]; ++i) {
          const auto value = [&](int rank) { return 0.1F * static_cast<float>(rank + 1) + 1e-3F * static_cast<float>((i + part) % 97); };
          values.push_back(value(all.rank()));
          float sum = value(0);
          for (int rank = 1; rank < all.world_size(); ++rank) sum += value(rank);
          if (part == all.rank()) expected.push_back(sum);
        }
      }
      std::vector<float> own(expected.size());
      all.reduce_scatter_sum(values, sizes, own);
      require(own == expected, "a part of a sum differs in some bit");
    }
  });
}

TEST_CASE("all_to_all brings to each rank what each has for it, and nothing where there is nothing") {
  on_each_communicator([](Communicator& all) {
    const auto size = [](int from, int to) { return std::int64_t{(from + 2 * to) % 3} * 1001; };
    exchange_letters(all, size, 20);
  });
}

TEST_CASE("bytes to and from others are counted, those that a rank keeps are not") {
  with_ranks_on({"one", "two", "one"}, [](Communicator& all) {
    const auto size = [](int from, int to) { return std::int64_t{from * 10 + to}; };
    const Traffic before = all.traffic();
    exchange_letters(all, size, 1);
    const Traffic moved = all.traffic() - before;
    std::int64_t sent = 0;
    std::int64_t received = 0;
    for (int other = 0; other < 3; ++other) {
      if (other == all.rank()) continue;
      sent += size(all.rank(), other);
      received += size(other, all.rank());
    }
    // Once with sizes that all know, once as packets; no message is empty but rank 0's to itself.
    require(moved.sent_bytes == 2 * sent && moved.received_bytes == 2 * received, "other bytes were counted than were moved");
    require(moved.sent_messages == 4, "other messages were counted than were sent");
  });
}

TEST_CASE("all_gather, broadcast and packets carry the bytes of the right rank") {
  on_each_communicator([](Communicator& all) {
    std::vector<std::int64_t> bytes;
    std::vector<std::byte> expected;
    for (int rank = 0; rank < all.world_size(); ++rank) {
      bytes.push_back(rank == 1 ? 0 : 100 * rank + 5);
      for (std::int64_t i = 0; i < bytes.back(); ++i) expected.push_back(letter(rank, 0, i));
    }
    std::vector<std::byte> own;
    for (std::int64_t i = 0; i < bytes[static_cast<std::size_t>(all.rank())]; ++i) own.push_back(letter(all.rank(), 0, i));
    std::vector<std::byte> received(expected.size());
    all.all_gather(own, bytes, received);
    require(received == expected, "all_gather mixed something up");

    const auto packets = gather_packets(all, own);
    require(packets[static_cast<std::size_t>(all.rank())] == own, "a packet differs");
    for (int root = 0; root < all.world_size(); ++root) {
      const std::string text = "rank " + std::to_string(all.rank());
      require(broadcast_text(all, text, root) == "rank " + std::to_string(root), "broadcast of another rank's text");
    }
    all.barrier();
  });
}

TEST_CASE("arguments that do not fit are refused before anything is sent") {
  on_each_communicator([](Communicator& all) {
    const std::vector<std::int64_t> sizes(static_cast<std::size_t>(all.world_size()), 4);
    std::vector<std::byte> too_short(1);
    std::vector<std::byte> room(4 * sizes.size());
    const auto refused = [](const std::function<void()>& call) {
      try {
        call();
      } catch (const CommError&) {
        return;
      }
      throw std::runtime_error("was not refused");
    };
    std::vector<float> numbers(4 * sizes.size());
    refused([&] { all.reduce_scatter_sum(std::span(numbers).first(3), sizes, std::span(numbers).first(4)); });
    refused([&] { all.reduce_scatter_sum(numbers, sizes, std::span(numbers).first(3)); });
    refused([&] { all.all_to_all(too_short, sizes, room, sizes); });
    refused([&] { all.all_gather(too_short, sizes, room); });
    refused([&] { all.broadcast(room, all.world_size()); });
    all.barrier();
  });
}

TEST_CASE("the way between ranks follows from where they are") {
  const auto name_of = [](const std::vector<std::string>& hosts) {
    std::string name;
    with_ranks_on(hosts, [&](Communicator& all) {
      if (all.rank() == 0) name = all.name();
    });
    return name;
  };
  CHECK(name_of({"one", "one"}) == "shared memory");
  CHECK(name_of({"one", "two"}) == "TCP");
  CHECK(name_of({"one", "two", "one"}) == "shared memory and TCP");
}

TEST_CASE("messages larger than the memory that ranks share arrive whole, while others go the other way") {
  with_ranks_on(std::vector<std::string>(3, "one"), [](Communicator& all) {
    constexpr std::int64_t kLarge = 5'000'003;
    const auto size = [](int from, int to) { return from == to ? std::int64_t{1} : from == 0 ? kLarge : std::int64_t{17} + to; };
    exchange_letters(all, size, 3);
  });
}

TEST_CASE("ranks that do not agree on the size of a message are told so") {
  std::mutex mutex;
  std::vector<std::string> errors;
  const auto disagree = [&](Communicator& all) {
    std::vector<std::byte> room(all.rank() == 0 ? 8 : 12);
    try {
      all.broadcast(room, 0);
    } catch (const CommError& error) {
      const std::lock_guard lock(mutex);
      errors.emplace_back(error.what());
    }
    throw std::runtime_error("over");  // there is nothing more to do together
  };
  REQUIRE_THROWS_WITH(with_ranks_on({"one", "one"}, disagree), "over");
  REQUIRE(errors.size() == 1);
  CHECK_THAT(errors.front(), Catch::Contains("rank 0 has sent 8 bytes") && Catch::Contains("12 were awaited"));
}

TEST_CASE("a rank that waits for one that does not come is let go by abort") {
  const std::vector<std::string> hosts = GENERATE(std::vector<std::string>{"one", "one"}, std::vector<std::string>{"one", "two"});
  const int port = rechost::test::free_port();
  std::promise<void> over;
  std::string ended;
  rechost::test::in_threads(2, [&](int rank) {
    const auto job = Job::join(rechost::test::job_settings(rank, 2, port));
    const auto all = open_communicator(rechost::test::communicator_settings(*job, rank, 2, hosts[static_cast<std::size_t>(rank)]));
    if (rank == 1) {
      over.get_future().wait();
      return;
    }
    std::thread other([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      all->abort();
    });
    std::vector<std::byte> from_nobody(8);
    try {
      all->broadcast(from_nobody, 1);
    } catch (const CommError& error) {
      ended = error.what();
    }
    other.join();
    over.set_value();
  });
  CHECK_THAT(ended, Catch::Contains("broadcast"));
}

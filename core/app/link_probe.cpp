#include "app/link_probe.h"

#include <barrier>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/host.h"
#include "comm/module.h"
#include "launch/supervisor.h"

namespace rechost::app {

LinkSpeed probe_links(int ranks) {
  const std::string key = random_token();
  const std::vector<int> node_of(static_cast<std::size_t>(ranks), 0);
  std::vector<std::string> texts(static_cast<std::size_t>(ranks));
  std::barrier together(ranks);
  std::mutex mutex;
  std::exception_ptr failure;
  LinkSpeed found;
  const auto be_rank = [&](int rank) {
    CommunicatorSettings settings;
    settings.rank = rank;
    settings.world_size = ranks;
    settings.host = host_name();
    settings.address = "127.0.0.1";
    settings.key = key;
    settings.exchange = [&, rank](const std::string& own) {
      texts[static_cast<std::size_t>(rank)] = own;
      together.arrive_and_wait();
      std::vector<std::string> all = texts;
      together.arrive_and_wait();
      return all;
    };
    const std::unique_ptr<Communicator> communicator = open_communicator(settings);
    const LinkSpeed speed = measure_links(*communicator, node_of);
    communicator->barrier();
    if (rank == 0) found = speed;
  };
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        be_rank(rank);
      } catch (...) {
        together.arrive_and_drop();
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
  return found;
}

}  // namespace rechost::app

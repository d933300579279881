// Once a pipeline runs, batches take no memory that is not there already: counted where this program asks for memory.
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

#include <catch2/catch.hpp>

#include "data/pipeline.h"
#include "fixture.h"

namespace {

std::atomic<std::int64_t> allocations{0};

void* allocate(std::size_t bytes, std::size_t alignment) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  void* const memory = alignment <= alignof(std::max_align_t) ? std::malloc(bytes) : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t bytes) { return allocate(bytes, 1); }
// The library's own would not be of the same kind as the operator delete below.
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return std::malloc(bytes);
}
void* operator new(std::size_t bytes, std::align_val_t alignment) { return allocate(bytes, static_cast<std::size_t>(alignment)); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

using namespace rechost;

TEST_CASE("a pipeline over rows in memory allocates nothing once it has run for a while") {
  DataFixture fixture;
  const bool lists = GENERATE(true, false);
  // How many elements the lists of a batch have is chance when it is shuffled; in order, each place has seen the longest batch in the end.
  if (!lists) fixture.features["history"].kind = "ignore";
  const PreparedData prepared = fixture.prepare("train", mixed_source(2000, 100));
  REQUIRE(prepared.train->resident());
  const SampleOrder order({lists ? Shuffle::kNone : Shuffle::kFull, 9, 100}, prepared.train->chunk_samples());
  REQUIRE(order.steps_per_epoch() == 20);
  // Of a dozen threads some have nothing to do before others have grown every place: their first batch must take no memory either.
  for (const int threads : {1, 3, 12}) {
    BatchPipeline pipeline(*prepared.train, order, {.end_step = 600, .prefetch = 2, .threads = threads});
    Batch batch;
    for (int step = 0; step < 300; ++step) REQUIRE(pipeline.next(batch));
    const std::int64_t before = allocations.load();
    std::int64_t rows = 0;
    bool more = true;
    for (int step = 0; step < 250; ++step) {
      more = pipeline.next(batch) && more;
      rows += batch.rows;
    }
    const std::int64_t after = allocations.load();
    CHECK(more);
    CHECK(rows == 25'000);
    CHECK(after - before == 0);
  }
  REQUIRE(allocations.load() > 0);  // they are counted
}

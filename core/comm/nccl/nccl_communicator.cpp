// Messages between GPUs by NCCL (https://github.com/NVIDIA/nccl). Buffers of the interface are host memory: they go through the GPU.
#include <cuda_runtime_api.h>
#include <nccl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "comm/message_sizes.h"
#include "comm/module.h"

namespace rechost {
namespace {

void require(cudaError_t error, const char* doing) {
  if (error != cudaSuccess) fail<CommError>("NCCL communicator: {}: {}", doing, cudaGetErrorString(error));
}

/// Memory of the GPU that grows.
class Staging {
 public:
  Staging() = default;
  ~Staging() { (void)cudaFree(memory_); }
  Staging(const Staging&) = delete;  // one owner
  Staging& operator=(const Staging&) = delete;

  std::byte* room_for(std::size_t bytes) {
    if (bytes <= bytes_) return static_cast<std::byte*>(memory_);
    require(cudaFree(memory_), "free");
    memory_ = nullptr;
    bytes_ = 0;
    require(cudaMalloc(&memory_, bytes + bytes / 4), "not enough memory for messages");
    bytes_ = bytes + bytes / 4;
    return static_cast<std::byte*>(memory_);
  }

 private:
  void* memory_ = nullptr;
  std::size_t bytes_ = 0;
};

/// What each rank tells the others before they connect.
struct Greeting {
  ncclUniqueId id{};  ///< rank 0's counts
  char host[256] = {};
};

/// This rank's GPU: ranks on one machine take one after the other.
int choose_device(const std::vector<std::string>& greetings, int rank) {
  const auto host_of = [&](int of) {
    Greeting greeting;
    if (greetings[static_cast<std::size_t>(of)].size() != sizeof(greeting)) fail<CommError>("rank {} speaks another version of rechost", of);
    std::memcpy(&greeting, greetings[static_cast<std::size_t>(of)].data(), sizeof(greeting));
    return std::string(greeting.host);
  };
  const std::string own = host_of(rank);
  int device = 0;
  for (int other = 0; other < rank; ++other) device += host_of(other) == own ? 1 : 0;
  int devices = 0;
  require(cudaGetDeviceCount(&devices), "no GPU can be used");
  if (device >= devices) fail<CommError>("rank {} is the {}. on {}, which has {} GPUs: start one rank for each GPU", rank, device + 1, own, devices);
  return device;
}

/// Every call queues on one stream and then watches it, so that abort() and the deadline end any wait.
class NcclCommunicator final : public Communicator {
 public:
  explicit NcclCommunicator(const CommunicatorSettings& settings)
      : rank_(settings.rank), world_size_(settings.world_size), deadline_(settings.deadline) {
    Greeting greeting;
    if (rank_ == 0) require(ncclGetUniqueId(&greeting.id), "meeting");
    if (gethostname(greeting.host, sizeof(greeting.host) - 1) != 0) fail<CommError>("this machine has no name");
    const std::vector<std::string> greetings =
        settings.exchange(std::string(reinterpret_cast<const char*>(&greeting), sizeof(greeting)));
    require(cudaSetDevice(choose_device(greetings, rank_)), "the GPU cannot be used");
    require(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "no stream");
    std::memcpy(&greeting, greetings.front().data(), sizeof(greeting));
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    require(ncclCommInitRankConfig(&communicator_, world_size_, greeting.id, rank_, &config), "connecting");
    settle("connecting");
  }

  ~NcclCommunicator() override {
    // An orderly end needs all ranks; after a failure they are not there to wait for.
    if (communicator_ != nullptr && !aborted_) (void)ncclCommFinalize(communicator_);
    if (communicator_ != nullptr) (void)ncclCommAbort(communicator_);
    if (stream_ != nullptr) (void)cudaStreamDestroy(stream_);
  }
  NcclCommunicator(const NcclCommunicator&) = delete;  // one owner of the connection
  NcclCommunicator& operator=(const NcclCommunicator&) = delete;

  int rank() const override { return rank_; }
  int world_size() const override { return world_size_; }
  std::string name() const override { return "nccl"; }

  void all_reduce_sum(std::span<float> values) override {
    if (values.empty()) return;  // on every rank
    std::byte* const there = copy_in(send_, std::as_bytes(values));
    require(ncclAllReduce(there, there, values.size(), ncclFloat32, ncclSum, communicator_, stream_), "all_reduce_sum");
    finish("all_reduce_sum", there, std::as_writable_bytes(values));
  }

  void reduce_scatter_sum(std::span<const float> values, std::span<const std::int64_t> sizes, std::span<float> own) override {
    require_parts(values, sizes, world_size_, rank_, own.size());
    if (values.empty()) return;  // on every rank
    std::byte* const from = copy_in(send_, std::as_bytes(values));
    std::byte* const to = receive_.room_for(own.size_bytes());
    // NCCL's own operation has parts of one size only.
    require(ncclGroupStart(), "reduce_scatter_sum");
    std::size_t at = 0;
    for (int root = 0; root < world_size_; ++root) {
      const auto size = static_cast<std::size_t>(sizes[static_cast<std::size_t>(root)]);
      if (size > 0) require(ncclReduce(from + at * sizeof(float), to, size, ncclFloat32, ncclSum, root, communicator_, stream_), "reduce_scatter_sum");
      at += size;
    }
    require(ncclGroupEnd(), "reduce_scatter_sum");
    finish("reduce_scatter_sum", to, std::as_writable_bytes(own));
  }

  void all_to_all(std::span<const std::byte> send, std::span<const std::int64_t> send_bytes, std::span<std::byte> receive,
                  std::span<const std::int64_t> receive_bytes) override {
    require_sizes("all_to_all: send", send_bytes, world_size_, send.size());
    require_sizes("all_to_all: receive", receive_bytes, world_size_, receive.size());
    const auto own = static_cast<std::size_t>(rank_);
    require_same("all_to_all: to itself", static_cast<std::size_t>(send_bytes[own]), static_cast<std::size_t>(receive_bytes[own]));
    std::byte* const from = copy_in(send_, send);
    std::byte* const to = receive_.room_for(receive.size());
    require(ncclGroupStart(), "all_to_all");
    std::int64_t send_at = 0;
    std::int64_t receive_at = 0;
    for (int peer = 0; peer < world_size_; ++peer) {
      const std::int64_t out = send_bytes[static_cast<std::size_t>(peer)];
      const std::int64_t in = receive_bytes[static_cast<std::size_t>(peer)];
      if (out > 0) require(ncclSend(from + send_at, static_cast<std::size_t>(out), ncclUint8, peer, communicator_, stream_), "all_to_all");
      if (in > 0) require(ncclRecv(to + receive_at, static_cast<std::size_t>(in), ncclUint8, peer, communicator_, stream_), "all_to_all");
      send_at += out;
      receive_at += in;
    }
    require(ncclGroupEnd(), "all_to_all");
    finish("all_to_all", to, receive);
  }

  void all_gather(std::span<const std::byte> send, std::span<const std::int64_t> bytes, std::span<std::byte> receive) override {
    require_sizes("all_gather", bytes, world_size_, receive.size());
    require_same("all_gather", send.size(), static_cast<std::size_t>(bytes[static_cast<std::size_t>(rank_)]));
    std::byte* const from = copy_in(send_, send);
    std::byte* const to = receive_.room_for(receive.size());
    require(ncclGroupStart(), "all_gather");
    std::int64_t at = 0;
    for (int peer = 0; peer < world_size_; ++peer) {
      const std::int64_t in = bytes[static_cast<std::size_t>(peer)];
      if (!send.empty()) require(ncclSend(from, send.size(), ncclUint8, peer, communicator_, stream_), "all_gather");
      if (in > 0) require(ncclRecv(to + at, static_cast<std::size_t>(in), ncclUint8, peer, communicator_, stream_), "all_gather");
      at += in;
    }
    require(ncclGroupEnd(), "all_gather");
    finish("all_gather", to, receive);
  }

  void broadcast(std::span<std::byte> bytes, int root) override {
    require_rank("broadcast", root, world_size_);
    if (bytes.empty()) return;
    std::byte* const there = copy_in(send_, bytes);
    require(ncclBroadcast(there, there, bytes.size(), ncclUint8, root, communicator_, stream_), "broadcast");
    finish("broadcast", there, bytes);
  }

  void barrier() override {
    float nothing = 0.0F;
    all_reduce_sum({&nothing, 1});
  }

  void abort() override { aborted_ = true; }

 private:
  void require(cudaError_t error, const char* doing) { rechost::require(error, doing); }
  void require(ncclResult_t result, const char* doing) {
    if (result != ncclSuccess && result != ncclInProgress) {
      fail<CommError>("{}: NCCL: {} ({})", doing, ncclGetErrorString(result), ncclGetLastError(communicator_));
    }
    if (communicator_ != nullptr && result == ncclInProgress) settle(doing);
  }

  std::byte* copy_in(Staging& staging, std::span<const std::byte> host) {
    if (aborted_) throw CommError("a rank is gone");
    std::byte* const there = staging.room_for(host.size());
    if (!host.empty()) require(cudaMemcpyAsync(there, host.data(), host.size(), cudaMemcpyHostToDevice, stream_), "copy");
    return there;
  }

  void finish(const char* operation, const std::byte* there, std::span<std::byte> host) {
    wait(operation, [&] { return cudaStreamQuery(stream_) != cudaErrorNotReady; });
    require(cudaStreamSynchronize(stream_), operation);
    if (!host.empty()) require(cudaMemcpy(host.data(), there, host.size(), cudaMemcpyDeviceToHost), operation);
  }

  /// Waits until what NCCL does on its own threads is done.
  void settle(const char* operation) {
    wait(operation, [&] {
      ncclResult_t state = ncclInProgress;
      const ncclResult_t asked = ncclCommGetAsyncError(communicator_, &state);
      return asked != ncclSuccess || state != ncclInProgress;
    });
  }

  template <typename Done>
  void wait(const char* operation, const Done& done) {
    const auto end = std::chrono::steady_clock::now() + deadline_;
    // Most operations take microseconds; one that takes longer is not worth a busy core.
    for (int round = 0; !done(); ++round) {
      if (aborted_) fail<CommError>("{}: ended because a rank is gone", operation);
      if (std::chrono::steady_clock::now() > end) {
        aborted_ = true;
        fail<CommError>("{}: not done after {} s", operation, std::chrono::duration_cast<std::chrono::seconds>(deadline_).count());
      }
      if (round > 1000) std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    ncclResult_t state = ncclSuccess;
    (void)ncclCommGetAsyncError(communicator_, &state);
    if (state != ncclSuccess && state != ncclInProgress) fail<CommError>("{}: NCCL: {}", operation, ncclGetErrorString(state));
  }

  int rank_;
  int world_size_;
  std::chrono::milliseconds deadline_;
  cudaStream_t stream_ = nullptr;
  ncclComm_t communicator_ = nullptr;
  std::atomic<bool> aborted_{false};
  Staging send_;
  Staging receive_;
};

}  // namespace
}  // namespace rechost

extern "C" __attribute__((visibility("default"))) rechost::Communicator* rechost_open_communicator(const rechost::CommunicatorSettings& settings) {
  return new rechost::NcclCommunicator(settings);
}

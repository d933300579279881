// Messages over TCP by Gloo (https://github.com/facebookincubator/gloo), as Debian builds it.
#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/store.h>
#include <gloo/transport/tcp/device.h>

#include "comm/message_sizes.h"
#include "comm/module.h"

namespace rechost {
namespace {

/// What Gloo's ranks put into a store before they connect. Each writes the same number of times and in the same order, so every write can be
/// an exchange of all; what is read later is there already.
class ExchangeStore final : public gloo::rendezvous::Store {
 public:
  explicit ExchangeStore(const CommunicatorSettings& settings) : settings_(settings) {}

  void set(const std::string& key, const std::vector<char>& data) override {
    const auto length = static_cast<std::uint32_t>(key.size());
    std::string own(reinterpret_cast<const char*>(&length), sizeof(length));
    own += key;
    own.append(data.begin(), data.end());
    for (const std::string& packet : settings_.exchange(own)) {
      std::uint32_t key_length = 0;
      std::memcpy(&key_length, packet.data(), sizeof(key_length));
      const auto value = packet.begin() + static_cast<std::ptrdiff_t>(sizeof(key_length) + key_length);
      values_[packet.substr(sizeof(key_length), key_length)] = std::vector<char>(value, packet.end());
    }
  }

  std::vector<char> get(const std::string& key) override {
    const auto found = values_.find(key);
    if (found == values_.end()) fail<CommError>("no rank has written {}", key);
    return found->second;
  }

  void wait(const std::vector<std::string>& keys) override {
    for (const std::string& key : keys) get(key);
  }

 private:
  const CommunicatorSettings& settings_;
  std::map<std::string, std::vector<char>> values_;
};

/// Bytes that go to or come from one rank in an operation: a part of its buffer.
struct Piece {
  int rank = 0;
  std::size_t first = 0;
  std::size_t size = 0;
};

/// Gloo moves the messages: straight between each pair of ranks, none where there are no bytes. What is made of them is ours: sums go in the
/// order of the ranks, so that every rank gets the same bits, and every wait can be ended by abort().
class GlooCommunicator final : public Communicator {
 public:
  explicit GlooCommunicator(const CommunicatorSettings& settings)
      : rank_(settings.rank), world_size_(settings.world_size), deadline_(settings.deadline) {
    gloo::transport::tcp::attr where(settings.address.c_str());
    std::shared_ptr<gloo::transport::Device> device = gloo::transport::tcp::CreateDevice(where);
    context_ = std::make_shared<gloo::rendezvous::Context>(rank_, world_size_);
    context_->setTimeout(settings.deadline);
    ExchangeStore store(settings);
    context_->connectFullMesh(store, device);
  }

  int rank() const override { return rank_; }
  int world_size() const override { return world_size_; }
  std::string name() const override { return "gloo"; }

  void all_reduce_sum(std::span<float> values) override {
    // Each rank adds up one part, then all get all parts: two messages to each peer, together twice the values.
    const auto part_begin = [&](int rank) {
      return static_cast<std::int64_t>(values.size()) * rank / world_size_;
    };
    const std::int64_t own = part_begin(rank_ + 1) - part_begin(rank_);
    std::vector<std::int64_t> part_bytes;
    for (int rank = 0; rank < world_size_; ++rank) {
      part_bytes.push_back((part_begin(rank + 1) - part_begin(rank)) * static_cast<std::int64_t>(sizeof(float)));
    }
    const std::vector<std::int64_t> own_bytes(static_cast<std::size_t>(world_size_), own * static_cast<std::int64_t>(sizeof(float)));
    parts_.resize(static_cast<std::size_t>(own * world_size_));
    exchange("all_reduce_sum", std::as_bytes(values), part_bytes, std::as_writable_bytes(std::span(parts_)), own_bytes);
    for (int rank = 1; rank < world_size_; ++rank) {
      const float* const part = parts_.data() + rank * own;
      for (std::int64_t i = 0; i < own; ++i) parts_[static_cast<std::size_t>(i)] += part[i];
    }
    gather("all_reduce_sum", std::as_bytes(std::span(parts_).first(static_cast<std::size_t>(own))), part_bytes, std::as_writable_bytes(values));
  }

  void all_to_all(std::span<const std::byte> send, std::span<const std::int64_t> send_bytes, std::span<std::byte> receive,
                  std::span<const std::int64_t> receive_bytes) override {
    require_sizes("all_to_all: send", send_bytes, world_size_, send.size());
    require_sizes("all_to_all: receive", receive_bytes, world_size_, receive.size());
    const auto own = static_cast<std::size_t>(rank_);
    require_same("all_to_all: to itself", static_cast<std::size_t>(send_bytes[own]), static_cast<std::size_t>(receive_bytes[own]));
    exchange("all_to_all", send, send_bytes, receive, receive_bytes);
  }

  void all_gather(std::span<const std::byte> send, std::span<const std::int64_t> bytes, std::span<std::byte> receive) override {
    require_sizes("all_gather", bytes, world_size_, receive.size());
    require_same("all_gather", send.size(), static_cast<std::size_t>(bytes[static_cast<std::size_t>(rank_)]));
    gather("all_gather", send, bytes, receive);
  }

  void broadcast(std::span<std::byte> bytes, int root) override {
    require_rank("broadcast", root, world_size_);
    sends_.clear();
    receives_.clear();
    if (rank_ != root) {
      receives_.push_back({root, 0, bytes.size()});
    } else {
      for (int step = 1; step < world_size_; ++step) sends_.push_back({(rank_ + step) % world_size_, 0, bytes.size()});
    }
    move_pieces("broadcast", bytes, bytes);
  }

  void barrier() override {
    std::vector<std::byte> all(static_cast<std::size_t>(world_size_));
    const std::byte own{1};
    const std::vector<std::int64_t> each(static_cast<std::size_t>(world_size_), 1);
    gather("barrier", std::span(&own, 1), each, all);
  }

  void abort() override {
    const std::lock_guard lock(mutex_);
    aborted_ = true;
    if (input_ != nullptr) input_->abortWaitSend();
    if (output_ != nullptr) output_->abortWaitRecv();
  }

 private:
  void exchange(const char* operation, std::span<const std::byte> send, std::span<const std::int64_t> send_bytes, std::span<std::byte> receive,
                std::span<const std::int64_t> receive_bytes) {
    sends_.clear();
    receives_.clear();
    std::size_t send_at = 0;
    std::size_t receive_at = 0;
    for (int rank = 0; rank < world_size_; ++rank) {
      const auto out = static_cast<std::size_t>(send_bytes[static_cast<std::size_t>(rank)]);
      const auto in = static_cast<std::size_t>(receive_bytes[static_cast<std::size_t>(rank)]);
      if (rank == rank_) {
        std::copy_n(send.begin() + static_cast<std::ptrdiff_t>(send_at), out, receive.begin() + static_cast<std::ptrdiff_t>(receive_at));
      } else {
        sends_.push_back({rank, send_at, out});
        receives_.push_back({rank, receive_at, in});
      }
      send_at += out;
      receive_at += in;
    }
    // Not all to rank 0 first.
    std::rotate(sends_.begin(), sends_.begin() + rank_, sends_.end());
    move_pieces(operation, send, receive);
  }

  void gather(const char* operation, std::span<const std::byte> send, std::span<const std::int64_t> bytes, std::span<std::byte> receive) {
    sends_.clear();
    receives_.clear();
    std::size_t at = 0;
    for (int rank = 0; rank < world_size_; ++rank) {
      const auto size = static_cast<std::size_t>(bytes[static_cast<std::size_t>(rank)]);
      if (rank == rank_) {
        std::copy(send.begin(), send.end(), receive.begin() + static_cast<std::ptrdiff_t>(at));
      } else {
        sends_.push_back({rank, 0, send.size()});
        receives_.push_back({rank, at, size});
      }
      at += size;
    }
    std::rotate(sends_.begin(), sends_.begin() + rank_, sends_.end());
    move_pieces(operation, send, receive);
  }

  /// Moves sends_ out of `from` and receives_ into `to`.
  void move_pieces(const char* operation, std::span<const std::byte> from, std::span<std::byte> to) {
    const std::uint64_t tag = tag_++;  // of this operation, the same on all ranks: messages of two never meet
    try {
      // Gloo does not write into what it sends.
      const auto input = context_->createUnboundBuffer(const_cast<std::byte*>(from.data()), from.size());
      const auto output = context_->createUnboundBuffer(to.data(), to.size());
      const Registration registration(*this, *input, *output);
      std::size_t receiving = 0;
      std::size_t sending = 0;
      for (const Piece& piece : receives_) {
        if (piece.size == 0) continue;
        output->recv(piece.rank, tag, piece.first, piece.size);
        ++receiving;
      }
      for (const Piece& piece : sends_) {
        if (piece.size == 0) continue;
        input->send(piece.rank, tag, piece.first, piece.size);
        ++sending;
      }
      for (; sending > 0; --sending) require(input->waitSend(deadline_), operation);
      for (; receiving > 0; --receiving) require(output->waitRecv(deadline_), operation);
    } catch (const CommError&) {
      throw;
    } catch (const std::exception& error) {
      fail<CommError>("{}: {}", operation, error.what());
    }
  }

  static void require(bool completed, const char* operation) {
    if (!completed) fail<CommError>("{}: ended because a rank is gone", operation);
  }

  /// Shows abort() what is being waited for.
  class Registration {
   public:
    Registration(GlooCommunicator& owner, gloo::transport::UnboundBuffer& input, gloo::transport::UnboundBuffer& output) : owner_(owner) {
      const std::lock_guard lock(owner_.mutex_);
      if (owner_.aborted_) throw CommError("a rank is gone");
      owner_.input_ = &input;
      owner_.output_ = &output;
    }
    ~Registration() {
      const std::lock_guard lock(owner_.mutex_);
      owner_.input_ = nullptr;
      owner_.output_ = nullptr;
    }
    Registration(const Registration&) = delete;  // takes back what it has given
    Registration& operator=(const Registration&) = delete;

   private:
    GlooCommunicator& owner_;
  };

  int rank_;
  int world_size_;
  std::chrono::milliseconds deadline_;
  std::shared_ptr<gloo::rendezvous::Context> context_;
  std::uint64_t tag_ = 1;
  std::vector<Piece> sends_;
  std::vector<Piece> receives_;
  std::vector<float> parts_;

  std::mutex mutex_;
  bool aborted_ = false;
  gloo::transport::UnboundBuffer* input_ = nullptr;
  gloo::transport::UnboundBuffer* output_ = nullptr;
};

}  // namespace
}  // namespace rechost

extern "C" __attribute__((visibility("default"))) rechost::Communicator* rechost_open_communicator(const rechost::CommunicatorSettings& settings) {
  try {
    return new rechost::GlooCommunicator(settings);
  } catch (const rechost::CommError&) {
    throw;
  } catch (const std::exception& error) {
    rechost::fail<rechost::CommError>("Gloo cannot connect the ranks over {}: {}", settings.address, error.what());
  }
}

// Messages over TCP by Gloo (https://github.com/facebookincubator/gloo), as Debian builds it.
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/store.h>
#include <gloo/transport/tcp/device.h>

#include "base/error.h"
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

/// Gloo moves the messages; every wait for one can be ended by abort().
class GlooMessages final : public Messages {
 public:
  explicit GlooMessages(const CommunicatorSettings& settings) : deadline_(settings.deadline) {
    gloo::transport::tcp::attr where(settings.address.c_str());
    std::shared_ptr<gloo::transport::Device> device = gloo::transport::tcp::CreateDevice(where);
    context_ = std::make_shared<gloo::rendezvous::Context>(settings.rank, settings.world_size);
    context_->setTimeout(settings.deadline);
    ExchangeStore store(settings);
    context_->connectFullMesh(store, device);
  }

  void start(const char* operation, std::span<const std::byte> from, std::span<const Piece> sends, std::span<std::byte> to,
             std::span<const Piece> receives) override {
    operation_ = operation;
    const std::uint64_t tag = tag_++;  // of this operation, the same on all ranks: messages of two never meet
    guarded([&] {
      // Gloo does not write into what it sends.
      auto input = context_->createUnboundBuffer(const_cast<std::byte*>(from.data()), from.size());
      auto output = context_->createUnboundBuffer(to.data(), to.size());
      show(std::move(input), std::move(output));
      for (const Piece& piece : receives) output_->recv(piece.rank, tag, piece.first, piece.size);
      for (const Piece& piece : sends) input_->send(piece.rank, tag, piece.first, piece.size);
      receiving_ = receives.size();
      sending_ = sends.size();
    });
  }

  void finish() override {
    guarded([&] {
      for (; sending_ > 0; --sending_) require(input_->waitSend(deadline_));
      for (; receiving_ > 0; --receiving_) require(output_->waitRecv(deadline_));
    });
    const std::lock_guard lock(mutex_);
    input_.reset();
    output_.reset();
  }

  void abort() override {
    const std::lock_guard lock(mutex_);
    aborted_ = true;
    if (input_ != nullptr) input_->abortWaitSend();
    if (output_ != nullptr) output_->abortWaitRecv();
  }

 private:
  using Buffer = std::unique_ptr<gloo::transport::UnboundBuffer>;

  /// To abort(): what is waited for.
  void show(Buffer input, Buffer output) {
    const std::lock_guard lock(mutex_);
    if (aborted_) fail<CommError>("{}: a rank is gone", operation_);
    input_ = std::move(input);
    output_ = std::move(output);
  }

  void require(bool completed) const {
    if (!completed) fail<CommError>("{}: ended because a rank is gone", operation_);
  }

  template <typename Action>
  void guarded(const Action& action) const {
    try {
      action();
    } catch (const CommError&) {
      throw;
    } catch (const std::exception& error) {
      fail<CommError>("{}: {}", operation_, error.what());
    }
  }

  std::chrono::milliseconds deadline_;
  std::shared_ptr<gloo::rendezvous::Context> context_;
  std::uint64_t tag_ = 1;
  const char* operation_ = "";
  std::size_t sending_ = 0;
  std::size_t receiving_ = 0;

  std::mutex mutex_;
  bool aborted_ = false;
  Buffer input_;
  Buffer output_;
};

}  // namespace
}  // namespace rechost

extern "C" __attribute__((visibility("default"))) rechost::Messages* rechost_open_messages(const rechost::CommunicatorSettings& settings) {
  try {
    return new rechost::GlooMessages(settings);
  } catch (const rechost::CommError&) {
    throw;
  } catch (const std::exception& error) {
    rechost::fail<rechost::CommError>("Gloo cannot connect the ranks over {}: {}", settings.address, error.what());
  }
}

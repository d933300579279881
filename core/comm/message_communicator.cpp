#include "comm/message_communicator.h"

#include <algorithm>

#include "base/trace.h"
#include "comm/message_sizes.h"

namespace rechost {
namespace {

constexpr std::int64_t kFloatBytes = sizeof(float);

}  // namespace

MessageCommunicator::MessageCommunicator(int rank, int world_size, std::vector<Route> routes)
    : rank_(rank),
      world_size_(world_size),
      routes_(std::move(routes)),
      route_of_(static_cast<std::size_t>(world_size), routes_.size()),
      parts_(routes_.size()) {
  for (std::size_t i = 0; i < routes_.size(); ++i) {
    for (const int to : routes_[i].ranks) {
      require_rank("a route", to, world_size);
      route_of_[static_cast<std::size_t>(to)] = i;
    }
  }
  for (int to = 0; to < world_size; ++to) {
    if (to != rank && route_of_[static_cast<std::size_t>(to)] == routes_.size()) fail<CommError>("rank {} has no way to rank {}", rank, to);
  }
}

std::string MessageCommunicator::name() const {
  std::string names;
  for (const Route& route : routes_) names += (names.empty() ? "" : " and ") + route.name;
  return names;
}

void MessageCommunicator::all_reduce_sum(std::span<float> values) {
  // Each rank adds up one part, then all get all parts: two messages to each peer, together twice the values.
  const auto part_begin = [&](int rank) { return static_cast<std::int64_t>(values.size()) * rank / world_size_; };
  std::vector<std::int64_t> sizes;
  for (int rank = 0; rank < world_size_; ++rank) sizes.push_back(part_begin(rank + 1) - part_begin(rank));
  const std::vector<std::int64_t> bytes = in_bytes(sizes, kFloatBytes);
  gather("all_reduce_sum", std::as_bytes(add_up("all_reduce_sum", values, bytes)), bytes, std::as_writable_bytes(values));
}

void MessageCommunicator::reduce_scatter_sum(std::span<const float> values, std::span<const std::int64_t> sizes, std::span<float> own) {
  require_parts(values, sizes, world_size_, rank_, own.size());
  const std::span<const float> sum = add_up("reduce_scatter_sum", values, in_bytes(sizes, kFloatBytes));
  std::copy(sum.begin(), sum.end(), own.begin());
}

void MessageCommunicator::all_to_all(std::span<const std::byte> send, std::span<const std::int64_t> send_bytes, std::span<std::byte> receive,
                                     std::span<const std::int64_t> receive_bytes) {
  require_sizes("all_to_all: send", send_bytes, world_size_, send.size());
  require_sizes("all_to_all: receive", receive_bytes, world_size_, receive.size());
  const auto own = static_cast<std::size_t>(rank_);
  require_same("all_to_all: to itself", static_cast<std::size_t>(send_bytes[own]), static_cast<std::size_t>(receive_bytes[own]));
  exchange("all_to_all", send, send_bytes, receive, receive_bytes);
}

void MessageCommunicator::all_to_all_packets(std::span<const std::byte> send, std::span<const std::int64_t> send_bytes,
                                             std::vector<std::vector<std::byte>>& received) {
  require_sizes("all_to_all_packets", send_bytes, world_size_, send.size());
  received.resize(static_cast<std::size_t>(world_size_));
  clear();
  std::size_t at = 0;
  std::vector<Piece> pieces;
  for (int rank = 0; rank < world_size_; ++rank) {
    const auto size = static_cast<std::size_t>(send_bytes[static_cast<std::size_t>(rank)]);
    const auto begin = send.begin() + static_cast<std::ptrdiff_t>(at);
    std::vector<std::byte>& from_rank = received[static_cast<std::size_t>(rank)];
    if (rank == rank_) from_rank.assign(begin, begin + static_cast<std::ptrdiff_t>(size));
    if (rank != rank_) part_of(rank).packets.push_back({rank, &from_rank});
    pieces.push_back({rank, at, size});
    at += size;
  }
  for (int step = 1; step < world_size_; ++step) {
    const Piece& piece = pieces[static_cast<std::size_t>((rank_ + step) % world_size_)];
    part_of(piece.rank).sends.push_back(piece);
  }
  move_pieces("all_to_all_packets", send, {});
}

void MessageCommunicator::all_gather(std::span<const std::byte> send, std::span<const std::int64_t> bytes, std::span<std::byte> receive) {
  require_sizes("all_gather", bytes, world_size_, receive.size());
  require_same("all_gather", send.size(), static_cast<std::size_t>(bytes[static_cast<std::size_t>(rank_)]));
  gather("all_gather", send, bytes, receive);
}

void MessageCommunicator::broadcast(std::span<std::byte> bytes, int root) {
  require_rank("broadcast", root, world_size_);
  clear();
  if (rank_ != root) {
    add_receive({root, 0, bytes.size()});
  } else {
    for (int step = 1; step < world_size_; ++step) add_send({(rank_ + step) % world_size_, 0, bytes.size()});
  }
  move_pieces("broadcast", bytes, bytes);
}

void MessageCommunicator::barrier() {
  std::vector<std::byte> all(static_cast<std::size_t>(world_size_));
  const std::byte own{1};
  const std::vector<std::int64_t> each(static_cast<std::size_t>(world_size_), 1);
  gather("barrier", std::span(&own, 1), each, all);
}

void MessageCommunicator::abort() {
  for (const Route& route : routes_) route.messages->abort();
}

/// The sum of this rank's part of all ranks' `values`, which are in parts of `bytes`; it lies in terms_.
std::span<const float> MessageCommunicator::add_up(const char* operation, std::span<const float> values, std::span<const std::int64_t> bytes) {
  const std::int64_t own_bytes = bytes[static_cast<std::size_t>(rank_)];
  const auto own = static_cast<std::size_t>(own_bytes / kFloatBytes);
  terms_.resize(own * static_cast<std::size_t>(world_size_));
  const std::vector<std::int64_t> from_each(static_cast<std::size_t>(world_size_), own_bytes);
  exchange(operation, std::as_bytes(values), bytes, std::as_writable_bytes(std::span(terms_)), from_each);
  float* const sum = terms_.data();
  for (int rank = 1; rank < world_size_; ++rank) {
    const float* const term = sum + static_cast<std::size_t>(rank) * own;
    for (std::size_t i = 0; i < own; ++i) sum[i] += term[i];
  }
  return std::span(terms_).first(own);
}

void MessageCommunicator::exchange(const char* operation, std::span<const std::byte> send, std::span<const std::int64_t> send_bytes,
                                   std::span<std::byte> receive, std::span<const std::int64_t> receive_bytes) {
  clear();
  // Each sends to the next rank first: not all to rank 0.
  std::vector<std::size_t> send_at(static_cast<std::size_t>(world_size_));
  std::size_t sent = 0;
  std::size_t received = 0;
  for (int rank = 0; rank < world_size_; ++rank) {
    const auto in = static_cast<std::size_t>(receive_bytes[static_cast<std::size_t>(rank)]);
    send_at[static_cast<std::size_t>(rank)] = sent;
    if (rank == rank_) {
      std::copy_n(send.begin() + static_cast<std::ptrdiff_t>(sent), in, receive.begin() + static_cast<std::ptrdiff_t>(received));
    } else {
      add_receive({rank, received, in});
    }
    sent += static_cast<std::size_t>(send_bytes[static_cast<std::size_t>(rank)]);
    received += in;
  }
  for (int step = 1; step < world_size_; ++step) {
    const int rank = (rank_ + step) % world_size_;
    const auto index = static_cast<std::size_t>(rank);
    add_send({rank, send_at[index], static_cast<std::size_t>(send_bytes[index])});
  }
  move_pieces(operation, send, receive);
}

void MessageCommunicator::gather(const char* operation, std::span<const std::byte> send, std::span<const std::int64_t> bytes,
                                 std::span<std::byte> receive) {
  clear();
  std::size_t at = 0;
  for (int rank = 0; rank < world_size_; ++rank) {
    const auto size = static_cast<std::size_t>(bytes[static_cast<std::size_t>(rank)]);
    if (rank == rank_) {
      std::copy(send.begin(), send.end(), receive.begin() + static_cast<std::ptrdiff_t>(at));
    } else {
      add_receive({rank, at, size});
    }
    at += size;
  }
  for (int step = 1; step < world_size_; ++step) add_send({(rank_ + step) % world_size_, 0, send.size()});
  move_pieces(operation, send, receive);
}

void MessageCommunicator::clear() {
  for (Part& part : parts_) {
    part.sends.clear();
    part.receives.clear();
    part.packets.clear();
  }
}

void MessageCommunicator::add_send(const Piece& piece) {
  if (piece.size > 0) part_of(piece.rank).sends.push_back(piece);
}

void MessageCommunicator::add_receive(const Piece& piece) {
  if (piece.size > 0) part_of(piece.rank).receives.push_back(piece);
}

void MessageCommunicator::move_pieces(const char* operation, std::span<const std::byte> from, std::span<std::byte> to) {
  TraceSpan span(operation);
  const Traffic before = traffic_;
  for (std::size_t i = 0; i < routes_.size(); ++i) {
    const Part& part = parts_[i];
    if (part.packets.empty()) {
      routes_[i].messages->start(operation, from, part.sends, to, part.receives);
    } else {
      routes_[i].messages->start(operation, from, part.sends, part.packets);
    }
  }
  for (const Route& route : routes_) route.messages->finish();
  for (const Part& part : parts_) {
    for (const Piece& piece : part.sends) traffic_ += {.sent_bytes = static_cast<std::int64_t>(piece.size), .sent_messages = 1};
    for (const Piece& piece : part.receives) traffic_ += {.received_bytes = static_cast<std::int64_t>(piece.size)};
    for (const Packet& packet : part.packets) traffic_ += {.received_bytes = static_cast<std::int64_t>(packet.bytes->size())};
  }
  const Traffic moved = traffic_ - before;
  span.set_bytes(moved.sent_bytes, moved.received_bytes);
}

}  // namespace rechost

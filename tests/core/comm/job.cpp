#include "comm/job.h"

#include <catch2/catch.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "comm/handshake.h"
#include "core/comm/in_threads.h"

using namespace rechost;
using Catch::Contains;
using rechost::test::free_port;
using rechost::test::in_threads;
using rechost::test::job_settings;

namespace {

std::string error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const CommError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("ranks meet and exchange packets of any bytes, again and again") {
  const int port = free_port();
  std::vector<std::vector<std::string>> seen(4);
  in_threads(4, [&](int rank) {
    const auto job = Job::join(job_settings(rank, 4, port));
    for (int round = 0; round < 10; ++round) {
      seen[static_cast<std::size_t>(rank)] = job->exchange(std::string(static_cast<std::size_t>(rank), '\0') + "\xff" + std::to_string(round));
    }
  });
  for (const auto& packets : seen) {
    REQUIRE(packets.size() == 4);
    CHECK(packets[2] == std::string("\0\0\xff" "9", 4));
  }
}

TEST_CASE("ranks that have not come are named") {
  const int port = free_port();
  std::vector<std::string> errors(2);
  in_threads(2, [&](int rank) {
    JobSettings settings = job_settings(rank, 4, port);
    settings.join_within = std::chrono::seconds(2);
    errors[static_cast<std::size_t>(rank)] = error_of([&] { Job::join(std::move(settings)); });
  });
  CHECK_THAT(errors[0], Contains("of 4 ranks these had not come within 2 s: 2, 3"));
  CHECK_THAT(errors[1], Contains("2, 3"));
}

TEST_CASE("rank 0 that nobody answers for is named with its address") {
  const int port = free_port();
  JobSettings settings = job_settings(1, 2, port);
  settings.join_within = std::chrono::seconds(1);
  CHECK_THAT(error_of([&] { Job::join(std::move(settings)); }), Contains("cannot reach rank 0") && Contains(std::to_string(port)));
}

TEST_CASE("a rank that does not fit is refused with the reason, on both sides") {
  const auto join_two = [](const std::function<void(JobSettings&)>& change) {
    const int port = free_port();
    std::vector<std::string> errors(2);
    in_threads(2, [&](int rank) {
      JobSettings settings = job_settings(rank, 2, port);
      if (rank == 1) change(settings);
      errors[static_cast<std::size_t>(rank)] = error_of([&] { Job::join(std::move(settings)); });
    });
    return errors;
  };
  for (const std::string& error : join_two([](JobSettings& settings) { settings.program = "0.9"; })) CHECK_THAT(error, Contains("runs rechost 0.9"));
  for (const std::string& error : join_two([](JobSettings& settings) { settings.world_size = 3; })) CHECK_THAT(error, Contains("believes in 3 ranks"));
}

TEST_CASE("a proof is HMAC-SHA-256 over both nonces and what is stated") {
  const Nonces nonces{std::string(32, 'a'), std::string(32, 'b')};
  // By Python's hmac module.
  CHECK(proof("a token", Prover::kGuest, nonces, R"({"rank":1})") == "7f95562b7d6b2bc20f493f78ea30cca2a3bcc5d9721eea1ac54b519b6390f514");
  const std::string other = proof("a token", Prover::kHost, nonces, R"({"rank":1})");
  CHECK_FALSE(same_proof(proof("a token", Prover::kGuest, nonces, R"({"rank":1})"), other));
  CHECK(same_proof(other, other));
  CHECK(random_nonce() != random_nonce());
  CHECK(random_nonce().size() == 32);
}

TEST_CASE("a rank with another secret is told so, and rank 0 goes on waiting for the right one") {
  const int port = free_port();
  std::string error;
  in_threads(3, [&](int rank) {
    JobSettings settings = job_settings(rank == 2 ? 1 : rank, 2, port);
    if (rank == 2) {
      settings.token += "another secret";
      settings.join_within = std::chrono::seconds(2);
      error = error_of([&] { Job::join(std::move(settings)); });
      return;
    }
    if (rank == 1) std::this_thread::sleep_for(std::chrono::seconds(3));
    const auto job = Job::join(std::move(settings));
    job->exchange("here");
  });
  CHECK_THAT(error, Contains("with another secret") && Contains(std::to_string(port)));
}

TEST_CASE("strangers that say nothing, garbage, or what was heard before delay no rank") {
  // What rank 1 of an earlier start said, as somebody on the network heard it.
  std::string heard;
  {
    const int port = free_port();
    const int tap = free_port();
    in_threads(3, [&](int rank) {
      if (rank == 2) {
        const auto listener = listen_on({"127.0.0.1", tap});
        const auto guest = accept_from(*listener, std::chrono::seconds(20));
        const auto host = connect_to({"127.0.0.1", port}, std::chrono::seconds(5));
        char bytes[4096];
        const auto forward = [&](const FileDescriptor& from, const FileDescriptor& to, std::string* copy) {
          const ssize_t count = recv(from.number(), bytes, sizeof(bytes), MSG_DONTWAIT);
          if (count > 0 && copy != nullptr) copy->append(bytes, static_cast<std::size_t>(count));
          if (count > 0) (void)!write(to.number(), bytes, static_cast<std::size_t>(count));
          return count != 0;
        };
        while (forward(*guest, *host, &heard) && forward(*host, *guest, nullptr)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        return;
      }
      const auto job = Job::join(job_settings(rank, 2, rank == 0 ? port : tap));
      job->exchange("here");
    });
  }
  REQUIRE(heard.size() > 100);

  const int port = free_port();
  in_threads(2, [&](int rank) {
    JobSettings settings = job_settings(rank, 2, port);
    settings.join_within = std::chrono::seconds(8);  // less than one stranger alone may take to say who it is
    std::vector<FileDescriptor> strangers;
    if (rank == 1) {
      for (int i = 0; i < 60; ++i) {
        auto socket = connect_to({"127.0.0.1", port}, std::chrono::seconds(5));
        while (!socket) socket = connect_to({"127.0.0.1", port}, std::chrono::seconds(5));
        if (i % 3 == 1) (void)!write(socket->number(), heard.data(), heard.size());
        if (i % 3 == 2) (void)!write(socket->number(), "GET / HTTP/1.1\r\n\r\n", 18);
        strangers.push_back(std::move(*socket));
      }
    }
    const auto job = Job::join(std::move(settings));
    job->exchange("here");
  });
}

TEST_CASE("a stranger on the port, and a rank of another job, keep nobody from meeting") {
  const int port = free_port();
  in_threads(4, [&](int rank) {
    if (rank == 2) {
      // Says something that is no hello, and stays.
      for (int tries = 0; tries < 100; ++tries) {
        const auto socket = connect_to({"127.0.0.1", port}, std::chrono::seconds(1));
        if (socket) {
          send_frame(*socket, {Frame::Kind::kPacket, "GET / HTTP/1.1"}, std::chrono::seconds(1));
          break;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
      return;
    }
    JobSettings settings = job_settings(rank == 3 ? 1 : rank, 2, port);
    if (rank == 3) {
      settings.token = "another token";
      settings.join_within = std::chrono::seconds(1);
      error_of([&] { Job::join(std::move(settings)); });
      return;
    }
    const auto job = Job::join(std::move(settings));
    job->exchange("here");
  });
}

TEST_CASE("why a rank fails, all others learn") {
  const int port = free_port();
  std::vector<std::string> learnt(3);
  in_threads(3, [&](int rank) {
    const auto job = Job::join(job_settings(rank, 3, port));
    job->exchange("");
    if (rank == 2) job->fail("row 7 is bad");
    if (rank != 2) learnt[static_cast<std::size_t>(rank)] = job->failure(std::chrono::seconds(10)).value_or("");
    if (rank != 2) learnt[static_cast<std::size_t>(rank)] += error_of([&] { job->exchange(""); });
  });
  for (const int rank : {0, 1}) CHECK_THAT(learnt[static_cast<std::size_t>(rank)], Contains("rank 2 on host host2 failed: row 7 is bad"));
}

#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

namespace rechost::test {

/// What a request was, names of headers in the case in which they came.
struct SeenRequest {
  std::string method;
  std::string path;
  std::map<std::string, std::string> headers;

  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

/// A web server with a few files in memory, one connection at a time, each for one request. It knows ranges and HEAD.
class LoopbackServer {
 public:
  using Files = std::map<std::string, std::string>;  ///< by path

  explicit LoopbackServer(Files files) : files_(std::move(files)) {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(socket_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(socket_, 64) != 0 ||
        ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw std::runtime_error("no server on the loopback");
    }
    address_ = fmt::format("http://127.0.0.1:{}", ntohs(address.sin_port));
    thread_ = std::thread([this] { serve(); });
  }
  ~LoopbackServer() {
    stopping_ = true;
    thread_.join();
    ::close(socket_);
  }
  LoopbackServer(const LoopbackServer&) = delete;  // the thread refers to it
  LoopbackServer& operator=(const LoopbackServer&) = delete;

  const std::string& address() const { return address_; }
  std::vector<SeenRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  /// Paths that were asked for by GET, in order.
  std::vector<std::string> fetched() const {
    std::vector<std::string> paths;
    for (const SeenRequest& request : requests()) {
      if (request.method == "GET") paths.push_back(request.path);
    }
    return paths;
  }
  /// So many requests are answered with 503 before the next one is served.
  void refuse(int count) { refusals_ = count; }
  void change(const std::string& path, const std::string& content) {
    const std::lock_guard lock(mutex_);
    files_[path] = content;
  }

 private:
  void serve() {
    while (!stopping_) {
      pollfd waiting{socket_, POLLIN, 0};
      if (::poll(&waiting, 1, 20) <= 0) continue;
      const int connection = ::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection < 0) continue;
      std::string text;
      char bytes[4096];
      while (text.find("\r\n\r\n") == std::string::npos) {
        const ssize_t got = ::recv(connection, bytes, sizeof bytes, 0);
        if (got <= 0) break;
        text.append(bytes, static_cast<std::size_t>(got));
      }
      const std::string answer = this->answer(text);
      for (std::size_t sent = 0; sent < answer.size();) {
        const ssize_t done = ::send(connection, answer.data() + sent, answer.size() - sent, MSG_NOSIGNAL);
        if (done <= 0) break;
        sent += static_cast<std::size_t>(done);
      }
      ::close(connection);
    }
  }

  std::string answer(const std::string& text) {
    SeenRequest request;
    std::size_t line = text.find("\r\n");
    const std::string head = text.substr(0, line);
    request.method = head.substr(0, head.find(' '));
    request.path = head.substr(request.method.size() + 1, head.rfind(' ') - request.method.size() - 1);
    for (std::size_t next = text.find("\r\n", line + 2); next != std::string::npos && next > line + 2; line = next, next = text.find("\r\n", line + 2)) {
      const std::string header = text.substr(line + 2, next - line - 2);
      request.headers[header.substr(0, header.find(':'))] = header.substr(std::min(header.find(':') + 2, header.size()));
    }
    const std::lock_guard lock(mutex_);
    requests_.push_back(request);
    const auto reply = [](const std::string& status, const std::string& more, std::size_t size) {
      return fmt::format("HTTP/1.1 {}\r\nConnection: close\r\nContent-Length: {}\r\n{}\r\n", status, size, more);
    };
    if (refusals_ > 0) {
      --refusals_;
      return reply("503 Slow Down", "", 0);
    }
    const auto found = files_.find(request.path);
    if (found == files_.end()) return reply("404 Not Found", "", 0);
    const std::string& content = found->second;
    const std::string range = request.header("Range");
    if (range.empty()) return reply("200 OK", "", content.size()) + (request.method == "HEAD" ? "" : content);
    const std::size_t begin = std::stoull(range.substr(6)), end = std::min(std::stoull(range.substr(range.find('-') + 1)) + 1, static_cast<unsigned long long>(content.size()));
    return reply("206 Partial Content", fmt::format("Content-Range: bytes {}-{}/{}\r\n", begin, end - 1, content.size()), end - begin) +
           content.substr(begin, end - begin);
  }

  int socket_ = -1;
  std::string address_;
  std::atomic<bool> stopping_{false};
  std::atomic<int> refusals_{0};
  mutable std::mutex mutex_;
  Files files_;
  std::vector<SeenRequest> requests_;
  std::thread thread_;
};

}  // namespace rechost::test

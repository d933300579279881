#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace rechost {

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::string body;
  std::string content_type;    ///< empty: none
  std::filesystem::path file;  ///< sent instead of `body` unless empty
};

struct HttpResponse {
  long status = 0;
  std::string body;
  std::string location;                       ///< of a redirection, which is not followed
  std::optional<double> retry_after_seconds;  ///< what the server asks for
};

/// There is no answer: no connection, a connection lost, a time limit, cancelled.
class HttpFailure : public Error {
 public:
  HttpFailure(const std::string& what, bool arrived) : Error(what), may_have_arrived(arrived) {}
  bool may_have_arrived;  ///< the server may have done what was asked
};

struct HttpSettings {
  double timeout_seconds = 30.0;
  std::string user;  ///< basic authentication, with password; else token
  std::string password;
  std::string token;
  std::string ca_file;  ///< certificates to trust instead of the system's; empty: the system's
  bool verify_certificate = true;
};

/// Requests, each over a connection of its own, because libcurl sends a request a second time without a word when a connection that it had
/// kept turns out to be dead; TLS included. Of environment variables, libcurl itself honours those that name a proxy. One thread, in which
/// SIGPIPE must be blocked or ignored; each call waits.
class HttpClient {
 public:
  /// `cancel`, where it is not null, ends a request that is under way within a second. Must outlive the client.
  HttpClient(HttpSettings settings, const std::atomic<bool>* cancel);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;  // owns what libcurl keeps

  /// Any status is an answer. Throws HttpFailure when there is none, Error when `file` cannot be read.
  HttpResponse send(const HttpRequest& request);

 private:
  struct Handle;
  HttpSettings settings_;
  const std::atomic<bool>* cancel_;
  std::unique_ptr<Handle> handle_;
};

/// For a path or query of a URL: everything but letters, digits and "-._~" becomes %XX; '/' stays where `keep_slashes`.
std::string percent_encoded(std::string_view text, bool keep_slashes = false);

}  // namespace rechost

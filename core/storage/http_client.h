#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace rechost {

struct HttpResponse {
  long status = 0;
  std::string body;
  std::string location;                       ///< of a redirection that was not followed
  std::optional<double> retry_after_seconds;  ///< what the server asks for
  std::vector<std::pair<std::string, std::string>> headers;  ///< of the last answer, names in lower case

  /// Empty when there is none of this name (in lower case).
  std::string_view header(std::string_view name) const;
};

/// Keys that a request is signed with: AWS Signature Version 4. The URL's path must be encoded and its query sorted already.
struct HttpSignature {
  std::string region;
  std::string service;
  std::string access_key;
  std::string secret_key;
  std::string session_token;  ///< empty: none
  std::string payload = "UNSIGNED-PAYLOAD";  ///< hash of the body, or that it is not signed
};

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::string body;
  std::string content_type;    ///< empty: none
  std::filesystem::path file;  ///< sent instead of `body` unless empty
  std::vector<std::string> headers;  ///< further ones, "Name: value"
  std::string range;                 ///< "0-99": of the bytes; empty: all
  bool follow_redirections = false;
  std::optional<HttpSignature> signature;
  /// Takes the body of an answer 200 or 206 piece by piece instead of HttpResponse::body; `head` has status and headers. What it throws ends
  /// the request and is rethrown.
  std::function<void(const HttpResponse& head, std::string_view piece)> sink;
};

/// There is no answer: no connection, a connection lost, a time limit, cancelled.
class HttpFailure : public Error {
 public:
  HttpFailure(const std::string& what, bool arrived, bool never = false) : Error(what), may_have_arrived(arrived), hopeless(never) {}
  bool may_have_arrived;  ///< the server may have done what was asked
  bool hopeless;          ///< it would fail the same way again: a bad address, a certificate that is not trusted
};

struct HttpSettings {
  double timeout_seconds = 30.0;  ///< for a whole request; 0: no limit
  double connect_seconds = 10.0;
  double stall_seconds = 0.0;     ///< a request that gets no byte for so long has failed; 0: no limit
  bool keep_connections = false;  ///< for requests that may be sent twice, see HttpClient
  std::string user;  ///< basic authentication, with password; else token
  std::string password;
  std::string token;
  std::string ca_file;  ///< certificates to trust instead of the system's; empty: the system's
  std::string ca_advice;  ///< where to name that file, for the message about a certificate that is not trusted
  bool verify_certificate = true;
};

/// Requests, each over a connection of its own unless told otherwise, because libcurl sends a request a second time without a word when a
/// connection that it had kept turns out to be dead; TLS included. Of environment variables, libcurl itself honours those that name a proxy.
/// One thread; each call waits. A connection that breaks raises no SIGPIPE.
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

#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/aws_credentials.h"
#include "storage/http_client.h"
#include "storage/location.h"
#include "storage/retry.h"

namespace rechost {

/// What a server says of a file.
struct RemoteState {
  std::uint64_t size = 0;
  std::string tag;      ///< a strong entity tag, as it is sent back; empty: none
  std::string version;  ///< changes when the file does: the tag, else its time; empty: the server names neither
};

struct RemoteFile {
  Location location;
  std::uint64_t size = 0;
};

/// A part of a file. `total` is the size that the whole is known to have; `tag` of that file, or empty.
struct RemotePart {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::uint64_t total = 0;
  std::string tag;
};

/// The server sends the whole file where a part was asked for.
class PartsRefused : public Error {
 public:
  using Error::Error;
};

/// Files of HTTP servers and S3. Every function waits, repeats what may go better the next time until the deadline has passed, and throws
/// DataError (what is not there, may not be read, or has changed) naming the location and what to do. Any thread, several at once.
class RemoteStore {
 public:
  /// `ca_file`: certificates to trust instead of the system's; empty: the system's. `cancel` ends requests; outlives the store.
  RemoteStore(Variables variables, const RetrySettings& retry, std::string ca_file, const std::atomic<bool>* cancel);
  ~RemoteStore();

  /// Nothing when there is no such file.
  std::optional<RemoteState> look(const Location& location);

  /// The files below an S3 prefix (taken as a folder), by name; no more are asked for once there are `enough`. ConfigError for HTTP, which
  /// has no list.
  std::vector<RemoteFile> list(const Location& folder, std::size_t enough = SIZE_MAX);

  /// Hands the bytes of a part, in order, to `take` with their offset in the file; after a failure it goes on where it stopped, or, when a
  /// server that knows no parts was asked for a whole file, from offset 0 again.
  void read(const Location& location, const RemotePart& part, const std::function<void(std::uint64_t offset, std::string_view bytes)>& take);

 private:
  class Client;

  HttpResponse send(const Location& location, HttpRequest request, std::string_view query);
  HttpResponse attempt(const Location& location, HttpRequest request, std::string_view query, const std::optional<AwsCredentials>& credentials);
  std::optional<RemoteState> look_once(const Location& location);
  RetrySettings patience() const;
  std::string region_of(const std::string& bucket);
  [[noreturn]] void refuse(const Location& location, const HttpResponse& response, const std::optional<AwsCredentials>& credentials);

  RetrySettings retry_;
  std::string ca_file_;
  const std::atomic<bool>* cancel_;
  AwsCredentialSource credentials_;
  std::string endpoint_;
  std::atomic<bool> answered_{false};  ///< some server has, once
  std::once_flag configured_;

  std::mutex mutex_;
  std::map<std::string, std::string> regions_;  ///< by bucket, where the server said so
  std::vector<std::unique_ptr<HttpClient>> idle_;
};

}  // namespace rechost

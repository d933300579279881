#pragma once

#include <string>
#include <string_view>

namespace rechost {

/// Where a file or a folder of data lies: a path or "file:", "http:", "https:", "s3://bucket/key". A value.
class Location {
 public:
  enum class Scheme { kFile, kHttp, kS3 };

  /// Throws ConfigError naming the text when its scheme is not read here, or its parts do not make sense.
  static Location parse(std::string_view text);
  /// Whether the text names something that is not in a file system of this machine, or tries to.
  static bool is_remote(std::string_view text);

  Scheme scheme() const { return scheme_; }
  bool remote() const { return scheme_ != Scheme::kFile; }
  /// As given, less "file://" and what leads nowhere at its end: for messages, and as the name of what lies there.
  const std::string& text() const { return text_; }
  /// kFile: the path. kHttp: the URL. kS3: the key, which may be empty (the whole bucket).
  const std::string& path() const { return path_; }
  /// kS3 only.
  const std::string& bucket() const { return bucket_; }

  /// What lies below this folder under a relative name with '/'. For HTTP the name becomes part of the URL's path, before any query.
  Location child(std::string_view name) const;

  bool operator==(const Location&) const = default;

 private:
  Scheme scheme_ = Scheme::kFile;
  std::string text_;
  std::string path_;
  std::string bucket_;
};

}  // namespace rechost

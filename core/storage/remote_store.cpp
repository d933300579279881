#include "storage/remote_store.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/log.h"
#include "storage/s3_protocol.h"

namespace rechost {
namespace {

constexpr double kStallSeconds = 20.0;
/// How long a server is waited for that has not answered once: the address may be wrong.
constexpr double kFirstContactSeconds = 30.0;
constexpr const char* kDefaultRegion = "us-east-1";

bool is_busy(long status) { return status == 408 || status == 425 || status == 429 || status >= 500; }

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

struct ContentRange {
  std::uint64_t begin = 0;
  std::uint64_t total = 0;
};

/// "bytes 0-99/1234".
std::optional<ContentRange> content_range(std::string_view text) {
  if (!text.starts_with("bytes ")) return std::nullopt;
  text.remove_prefix(6);
  const std::size_t dash = text.find('-'), slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos) return std::nullopt;
  const auto begin = number(text.substr(0, dash)), total = number(text.substr(slash + 1));
  if (!begin || !total) return std::nullopt;
  return ContentRange{*begin, *total};
}

std::string printable(std::string_view text) {
  std::string result(text.substr(0, 200));
  std::replace_if(result.begin(), result.end(), [](unsigned char c) { return c < 0x20; }, ' ');
  return result;
}

/// What the last characters of an access key are: enough to tell which it is.
std::string shown_key(const std::string& key) { return key.size() <= 8 ? key : fmt::format("{}...{}", key.substr(0, 4), key.substr(key.size() - 4)); }

std::string advice_for(const std::string& code) {
  if (code == "InvalidAccessKeyId") return "the server does not know this access key";
  if (code == "SignatureDoesNotMatch") return "the secret key does not belong to this access key";
  if (code == "ExpiredToken" || code == "TokenRefreshRequired" || code == "InvalidToken") return "get a new session token";
  if (code == "RequestTimeTooSkewed") return "set the clock of this machine";
  return "ask for s3:GetObject and s3:ListBucket, or check the name: to who may not list a bucket S3 says the same of an object that is not there";
}

}  // namespace

/// A client of the pool, for one request.
class RemoteStore::Client {
 public:
  explicit Client(RemoteStore& store) : store_(store) {
    const std::lock_guard lock(store_.mutex_);
    if (!store_.idle_.empty()) {
      client_ = std::move(store_.idle_.back());
      store_.idle_.pop_back();
      return;
    }
    HttpSettings settings;
    settings.timeout_seconds = 0;
    settings.stall_seconds = kStallSeconds;
    settings.keep_connections = true;
    settings.ca_file = store_.ca_file_;
    settings.ca_advice = "AWS_CA_BUNDLE or SSL_CERT_FILE";
    client_ = std::make_unique<HttpClient>(std::move(settings), store_.cancel_);
  }
  ~Client() {
    const std::lock_guard lock(store_.mutex_);
    store_.idle_.push_back(std::move(client_));
  }
  Client(const Client&) = delete;  // gives the client back
  HttpClient* operator->() { return client_.get(); }

 private:
  RemoteStore& store_;
  std::unique_ptr<HttpClient> client_;
};

RemoteStore::RemoteStore(Variables variables, const RetrySettings& retry, std::string ca_file, const std::atomic<bool>* cancel)
    : retry_(retry), ca_file_(std::move(ca_file)), cancel_(cancel), credentials_(std::move(variables), cancel) {}

RemoteStore::~RemoteStore() = default;

RetrySettings RemoteStore::patience() const {
  RetrySettings settings = retry_;
  if (!answered_ && settings.deadline_seconds > kFirstContactSeconds) {
    settings.deadline_seconds = kFirstContactSeconds;
    settings.deadline_advice = fmt::format("{:g} s is what a server gets that has not answered once", kFirstContactSeconds);
  }
  return settings;
}

std::string RemoteStore::region_of(const std::string& bucket) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = regions_.find(bucket); known != regions_.end()) return known->second;
  }
  const std::string region = credentials_.region();
  return region.empty() ? kDefaultRegion : region;
}

HttpResponse RemoteStore::attempt(const Location& location, HttpRequest request, std::string_view query,
                                  const std::optional<AwsCredentials>& credentials) {
  request.url = location.path();
  request.follow_redirections = location.scheme() == Location::Scheme::kHttp;
  if (location.scheme() == Location::Scheme::kS3) {
    const std::string region = region_of(location.bucket());
    request.url = s3_bucket_address(endpoint_, region, location.bucket());
    request.url += query.empty() ? "/" + percent_encoded(location.path(), true) : fmt::format("/?{}", query);
    if (credentials) request.signature = HttpSignature{region, "s3", credentials->access_key, credentials->secret_key, credentials->session_token};
  }
  HttpResponse response;
  try {
    response = Client(*this)->send(request);
  } catch (const HttpFailure& failure) {
    if (failure.hopeless) fail<DataError>("{}: {}", location.text(), failure.what());
    throw TransientFailure(failure.what());
  }
  answered_ = true;
  const S3Problem problem = response.status >= 400 ? parse_s3_problem(response.body) : S3Problem();
  if (is_busy(response.status) || problem.code == "RequestTimeout" || problem.code == "SlowDown") {
    throw TransientFailure(fmt::format("the server answers HTTP {} {}", response.status, problem.code), response.retry_after_seconds);
  }
  return response;
}

HttpResponse RemoteStore::send(const Location& location, HttpRequest request, std::string_view query) {
  const bool s3 = location.scheme() == Location::Scheme::kS3;
  if (s3) std::call_once(configured_, [this] { endpoint_ = credentials_.endpoint(); });
  std::optional<AwsCredentials> credentials;
  for (int round = 0;; ++round) {
    if (s3) credentials = credentials_.get();
    const HttpResponse response = attempt(location, request, query, credentials);
    const long status = response.status;
    if (status < 300 || status == 404 || status == 412 || status == 416) return response;
    const S3Problem problem = parse_s3_problem(response.body);
    // Once each: the bucket is elsewhere; the session has ended before its time.
    std::string region(response.header("x-amz-bucket-region"));
    if (region.empty()) region = problem.region;
    if (s3 && round == 0 && !region.empty() && region != region_of(location.bucket())) {
      log_info("bucket {} is in region {}; set AWS_REGION to spare a request", location.bucket(), region);
      const std::lock_guard lock(mutex_);
      regions_[location.bucket()] = region;
      continue;
    }
    const bool ended = problem.code == "ExpiredToken" || problem.code == "TokenRefreshRequired" || problem.code == "InvalidToken";
    if (round <= 1 && ended && credentials && credentials_.renew(*credentials)) continue;
    if (request.method == "HEAD" && (status == 400 || status == 403)) return response;  // the answer to a GET says why
    refuse(location, response, credentials);
  }
}

void RemoteStore::refuse(const Location& location, const HttpResponse& response, const std::optional<AwsCredentials>& credentials) {
  const S3Problem problem = parse_s3_problem(response.body);
  if (location.scheme() != Location::Scheme::kS3) {
    const char* const advice = response.status == 401 || response.status == 403 ? ": no credentials are sent over http; use s3:, or an address that needs none" : "";
    fail<DataError>("{}: the server answers HTTP {}{}", location.text(), response.status, advice);
  }
  const std::string answer = fmt::format("bucket \"{}\", key \"{}\": {} answers HTTP {} {}{}{}", location.bucket(), location.path(),
                                         endpoint_.empty() ? "S3" : endpoint_, response.status, problem.code, problem.message.empty() ? "" : ": ",
                                         printable(problem.message));
  if (response.status != 401 && response.status != 403 && problem.code != "ExpiredToken" && problem.code != "InvalidToken") {
    fail<DataError>("{} (region {})", answer, region_of(location.bucket()));
  }
  if (!credentials) {
    fail<DataError>("{}. Asked without credentials, because none were found ({}): set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
                    answer, credentials_.searched());
  }
  fail<DataError>("{}. Asked with access key {} of {}, region {}: {}", answer, shown_key(credentials->access_key), credentials->source,
                  region_of(location.bucket()), advice_for(problem.code));
}

std::optional<RemoteState> RemoteStore::look(const Location& location) {
  std::optional<RemoteState> state;
  Retry retry(patience(), location.text(), cancel_);
  retry.run([&] { state = look_once(location); });
  return state;
}

std::optional<RemoteState> RemoteStore::look_once(const Location& location) {
  HttpRequest request;
  request.method = "HEAD";
  HttpResponse response = send(location, request, "");
  if (response.status == 400 || response.status == 403 || response.status == 405 || response.status == 501) {
    request.method = "GET";
    request.range = "0-0";
    request.sink = [](const HttpResponse&, std::string_view) {};
    response = send(location, request, "");
  }
  if (response.status == 404) return std::nullopt;
  RemoteState state;
  const auto range = content_range(response.header("content-range"));
  const auto length = number(response.header("content-length"));
  if (range) {
    state.size = range->total;
  } else if (length) {
    state.size = *length;
  } else {
    fail<DataError>("{}: the server does not say how long the file is", location.text());
  }
  const std::string_view tag = response.header("etag"), modified = response.header("last-modified");
  if (!tag.starts_with("W/")) state.tag = std::string(tag);
  state.version = !tag.empty() ? fmt::format("tag {}", tag) : !modified.empty() ? fmt::format("time {}", modified) : "";
  return state;
}

std::vector<RemoteFile> RemoteStore::list(const Location& folder, std::size_t enough) {
  if (folder.scheme() != Location::Scheme::kS3) {
    fail<ConfigError>("{}: files of a web server cannot be listed; name a file, or for MDS the folder of an index.json", folder.text());
  }
  const Location root = Location::parse(fmt::format("s3://{}/", folder.bucket()));
  const std::string prefix = folder.path().empty() ? "" : folder.path() + "/";
  std::vector<RemoteFile> files;
  std::string continuation;
  do {
    S3Page page;
    Retry retry(patience(), folder.text(), cancel_);
    retry.run([&] {
      const HttpResponse response = send(folder, {}, s3_list_query(prefix, continuation));
      if (response.status == 404) fail<DataError>("{}: there is no bucket \"{}\"", folder.text(), folder.bucket());
      page = parse_s3_page(response.body);
    });
    for (const S3Object& object : page.objects) {
      // "folder/" is what consoles make of an empty folder.
      if (!object.key.ends_with('/')) files.push_back({root.child(object.key), object.size});
    }
    continuation = page.continuation;
  } while (!continuation.empty() && files.size() < enough);
  std::sort(files.begin(), files.end(), [](const RemoteFile& a, const RemoteFile& b) { return a.location.path() < b.location.path(); });
  return files;
}

void RemoteStore::read(const Location& location, const RemotePart& part,
                       const std::function<void(std::uint64_t offset, std::string_view bytes)>& take) {
  const bool whole = part.offset == 0 && part.size == part.total;
  std::uint64_t done = 0;
  const auto require_total = [&](std::uint64_t total) {
    if (total != part.total) fail<DataError>("{}: has {} bytes, {} were expected: it is another file, or changed while it was read", location.text(), total, part.total);
  };
  Retry retry(patience(), location.text(), cancel_);
  retry.run([&] {
    if (done == part.size) return;
    HttpRequest request;
    if (!part.tag.empty()) request.headers.push_back("If-Match: " + part.tag);
    if (!whole || done > 0) request.range = fmt::format("{}-{}", part.offset + done, part.offset + part.size - 1);
    bool begun = false;
    request.sink = [&](const HttpResponse& head, std::string_view piece) {
      if (!begun && head.status == 206) {
        const auto range = content_range(head.header("content-range"));
        if (!range || range->begin != part.offset + done) fail<DataError>("{}: the server sends another part than was asked for", location.text());
        require_total(range->total);
      } else if (!begun) {
        if (!whole) throw PartsRefused(location.text() + ": the server sends no parts of files");
        done = 0;
        if (const auto length = number(head.header("content-length"))) require_total(*length);
      }
      begun = true;
      if (piece.size() > part.size - done) fail<DataError>("{}: the server sends more than {} bytes", location.text(), part.size);
      take(part.offset + done, piece);
      done += piece.size();
      retry.progress();
    };
    const HttpResponse response = send(location, request, "");
    if (response.status == 404) {
      const std::string code = parse_s3_problem(response.body).code;
      fail<DataError>("{}: there is no such {}", location.text(), code == "NoSuchBucket" ? "bucket" : "file");
    }
    if (response.status == 412) fail<DataError>("{}: changed while it was read", location.text());
    if (response.status == 416) fail<DataError>("{}: has less than the {} bytes that were expected", location.text(), part.total);
    if (done != part.size) throw TransientFailure(fmt::format("the answer ended after {} of {} bytes", done, part.size));
  });
}

}  // namespace rechost

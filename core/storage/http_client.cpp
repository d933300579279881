#include "storage/http_client.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <exception>
#include <new>
#include <utility>

#include <curl/curl.h>
#include <pthread.h>

#include "base/version.h"

namespace rechost {
namespace {

constexpr std::size_t kMostBytes = std::size_t{64} << 20;  // of an answer that nobody takes piece by piece
constexpr long kMostRedirections = 5;

/// One request under way.
struct Exchange {
  CURL* curl;
  const HttpRequest& request;
  HttpResponse& response;
  std::exception_ptr failure{};  // of the sink
};

std::size_t take_body(char* bytes, std::size_t size, std::size_t count, void* context) {
  auto& exchange = *static_cast<Exchange*>(context);
  HttpResponse& response = exchange.response;
  if (exchange.request.sink) {
    curl_easy_getinfo(exchange.curl, CURLINFO_RESPONSE_CODE, &response.status);
    if (response.status == 200 || response.status == 206) {
      try {
        exchange.request.sink(response, {bytes, size * count});
      } catch (...) {
        exchange.failure = std::current_exception();
        return 0;
      }
      return size * count;
    }
  }
  if (response.body.size() + size * count > kMostBytes) return 0;  // libcurl gives up with CURLE_WRITE_ERROR
  response.body.append(bytes, size * count);
  return size * count;
}

std::size_t take_header(char* bytes, std::size_t size, std::size_t count, void* context) {
  HttpResponse& response = static_cast<Exchange*>(context)->response;
  const std::string line(bytes, size * count);
  if (line.starts_with("HTTP/")) {  // the next answer of a chain of redirections
    response.headers.clear();
    response.location.clear();
    response.retry_after_seconds.reset();
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string::npos) return size * count;
  std::string name = line.substr(0, colon);
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
  const std::size_t end = line.find_last_not_of(" \t\r\n");
  const std::string value = begin == std::string::npos || end < begin ? "" : line.substr(begin, end - begin + 1);
  if (name == "location") response.location = value;
  double seconds = 0;
  // The other form of this header, a date, is not worth a parser: then our own delay holds.
  if (name == "retry-after" && std::from_chars(value.data(), value.data() + value.size(), seconds).ec == std::errc() && seconds >= 0) {
    response.retry_after_seconds = seconds;
  }
  response.headers.emplace_back(std::move(name), value);
  return size * count;
}

/// TLS libraries write to sockets without MSG_NOSIGNAL. SIGPIPE is kept from this thread while one of these lives.
class SilencedPipes {
 public:
  SilencedPipes() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    if (!was_pending_) pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~SilencedPipes() {
    if (was_pending_) return;
    const timespec at_once{};
    while (sigtimedwait(&pipe_, nullptr, &at_once) < 0 && errno == EINTR) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  SilencedPipes(const SilencedPipes&) = delete;  // one scope

 private:
  sigset_t pipe_;
  sigset_t before_;
  bool was_pending_ = false;
};

int check_cancelled(void* context, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const auto* cancel = static_cast<const std::atomic<bool>*>(context);
  return cancel != nullptr && cancel->load(std::memory_order_relaxed) ? 1 : 0;
}

/// Whether a request that ended like this cannot have reached the server.
bool never_arrived(CURLcode code) {
  switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return true;
    default:
      return false;
  }
}

bool hopeless(CURLcode code) {
  return code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT || code == CURLE_PEER_FAILED_VERIFICATION ||
         code == CURLE_SSL_CACERT_BADFILE || code == CURLE_TOO_MANY_REDIRECTS;
}

struct OpenFile {
  explicit OpenFile(const std::filesystem::path& path) : stream(std::fopen(path.c_str(), "rbe")) {
    if (stream == nullptr) fail("cannot open {}: {}", path.string(), std::strerror(errno));
  }
  ~OpenFile() { std::fclose(stream); }
  OpenFile(const OpenFile&) = delete;  // owns the stream
  std::FILE* stream;
};

}  // namespace

struct HttpClient::Handle {
  Handle() {
    // Thread-safe in this libcurl (CURL_VERSION_THREADSAFE), and counted.
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) fail("libcurl does not start");
    curl = curl_easy_init();
    if (curl == nullptr) throw std::bad_alloc();
  }
  ~Handle() {
    curl_easy_cleanup(curl);
    curl_global_cleanup();
  }
  Handle(const Handle&) = delete;  // owns it

  CURL* curl = nullptr;
};

HttpClient::HttpClient(HttpSettings settings, const std::atomic<bool>* cancel) : settings_(std::move(settings)), cancel_(cancel) {}

HttpClient::~HttpClient() = default;

std::string_view HttpResponse::header(std::string_view name) const {
  for (const auto& [each, value] : headers) {
    if (each == name) return value;
  }
  return {};
}

HttpResponse HttpClient::send(const HttpRequest& request) {
  if (handle_ == nullptr) handle_ = std::make_unique<Handle>();
  CURL* const curl = handle_->curl;
  curl_easy_reset(curl);
  HttpResponse response;
  Exchange exchange{.curl = curl, .request = request, .response = response};
  char reason[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  if (!settings_.keep_connections) {
    curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L);
  }
  curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);  // do not wait for a name lookup that nobody waits for any more
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(settings_.connect_seconds * 1000.0));
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(settings_.timeout_seconds * 1000.0));
  if (settings_.stall_seconds > 0) {
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, std::max(1L, static_cast<long>(settings_.stall_seconds)));
  }
  if (request.follow_redirections) {
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, kMostRedirections);
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  }
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &exchange);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &exchange);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, check_cancelled);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, const_cast<std::atomic<bool>*>(cancel_));
  curl_easy_setopt(curl, CURLOPT_USERAGENT, fmt::format("rechost/{}", version()).c_str());
  if (!settings_.ca_file.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, settings_.ca_file.c_str());
  if (!settings_.verify_certificate) {
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  // The header list lives as long as the request.
  const auto free_list = [](curl_slist* list) { curl_slist_free_all(list); };
  std::unique_ptr<curl_slist, decltype(free_list)> headers(nullptr, free_list);
  const auto add_header = [&](const std::string& line) { headers.reset(curl_slist_append(headers.release(), line.c_str())); };
  // Spares the round trip that some servers never answer. libcurl would sign this header that it does not send.
  if (!request.signature) add_header("Expect:");
  for (const std::string& header : request.headers) add_header(header);
  if (!request.range.empty()) curl_easy_setopt(curl, CURLOPT_RANGE, request.range.c_str());
  if (!request.content_type.empty()) add_header("Content-Type: " + request.content_type);
  if (const std::optional<HttpSignature>& keys = request.signature) {
    curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, fmt::format("aws:amz:{}:{}", keys->region, keys->service).c_str());
    curl_easy_setopt(curl, CURLOPT_USERNAME, keys->access_key.c_str());
    curl_easy_setopt(curl, CURLOPT_PASSWORD, keys->secret_key.c_str());
    // Without it this libcurl signs a hash of nothing for some requests and leaves the header out, which S3 refuses.
    add_header("x-amz-content-sha256: " + keys->payload);
    if (!keys->session_token.empty()) add_header("x-amz-security-token: " + keys->session_token);
  } else if (!settings_.user.empty() || !settings_.password.empty()) {
    curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
    curl_easy_setopt(curl, CURLOPT_USERNAME, settings_.user.c_str());
    curl_easy_setopt(curl, CURLOPT_PASSWORD, settings_.password.c_str());
  } else if (!settings_.token.empty()) {
    add_header("Authorization: Bearer " + settings_.token);
  }
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  std::optional<OpenFile> file;
  if (!request.file.empty()) {
    file.emplace(request.file);
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_READDATA, file->stream);
    curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(std::filesystem::file_size(request.file)));
  } else if (request.method == "HEAD") {
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  } else if (request.method != "GET") {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.c_str());
  }
  if (request.method != "GET" && request.method != "HEAD") curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  CURLcode code = CURLE_OK;
  {
    const SilencedPipes silenced;
    code = curl_easy_perform(curl);
  }
  if (exchange.failure) std::rethrow_exception(exchange.failure);
  if (code != CURLE_OK) {
    const std::string advice = code == CURLE_PEER_FAILED_VERIFICATION && !settings_.ca_advice.empty()
                                   ? fmt::format(" (a certificate of your own authority: name its file in {})", settings_.ca_advice)
                                   : "";
    throw HttpFailure(
        fmt::format("{} {}: {}{}", request.method, request.url, reason[0] != '\0' ? reason : curl_easy_strerror(code), advice), !never_arrived(code),
        hopeless(code));
  }
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &response.status);
  return response;
}

std::string percent_encoded(std::string_view text, bool keep_slashes) {
  std::string encoded;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || std::string_view("-._~").find(c) != std::string_view::npos || (keep_slashes && c == '/')) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

}  // namespace rechost

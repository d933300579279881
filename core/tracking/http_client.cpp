#include "tracking/http_client.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <new>
#include <utility>

#include <curl/curl.h>

#include "base/version.h"

namespace rechost {
namespace {

constexpr long kConnectSeconds = 10;
constexpr std::size_t kMostBytes = std::size_t{64} << 20;  // of an answer

std::size_t take_body(char* bytes, std::size_t size, std::size_t count, void* context) {
  auto& body = *static_cast<std::string*>(context);
  if (body.size() + size * count > kMostBytes) return 0;  // libcurl gives up with CURLE_WRITE_ERROR
  body.append(bytes, size * count);
  return size * count;
}

std::size_t take_header(char* bytes, std::size_t size, std::size_t count, void* context) {
  auto& response = *static_cast<HttpResponse*>(context);
  std::string line(bytes, size * count);
  const std::size_t colon = line.find(':');
  if (colon != std::string::npos) {
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
  }
  return size * count;
}

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

HttpResponse HttpClient::send(const HttpRequest& request) {
  if (handle_ == nullptr) handle_ = std::make_unique<Handle>();
  CURL* const curl = handle_->curl;
  curl_easy_reset(curl);
  HttpResponse response;
  char reason[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L);
  curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);  // do not wait for a name lookup that nobody waits for any more
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(settings_.timeout_seconds * 1000.0));
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &response.body);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &response);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, check_cancelled);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, const_cast<std::atomic<bool>*>(cancel_));
  curl_easy_setopt(curl, CURLOPT_USERAGENT, fmt::format("rechost/{}", version()).c_str());
  if (!settings_.ca_file.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, settings_.ca_file.c_str());
  if (!settings_.verify_certificate) {
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  // The header list lives as long as the request; "Expect:" spares the round trip that some servers never answer.
  const auto free_list = [](curl_slist* list) { curl_slist_free_all(list); };
  std::unique_ptr<curl_slist, decltype(free_list)> headers(curl_slist_append(nullptr, "Expect:"), free_list);
  const auto add_header = [&](const std::string& line) { headers.reset(curl_slist_append(headers.release(), line.c_str())); };
  if (!request.content_type.empty()) add_header("Content-Type: " + request.content_type);
  if (!settings_.user.empty() || !settings_.password.empty()) {
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
  } else if (request.method != "GET") {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.c_str());
  }
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  const CURLcode code = curl_easy_perform(curl);
  if (code != CURLE_OK) {
    const char* const advice =
        code == CURLE_PEER_FAILED_VERIFICATION ? " (a certificate of your own authority: name its file in MLFLOW_TRACKING_SERVER_CERT_PATH)" : "";
    throw HttpFailure(
        fmt::format("{} {}: {}{}", request.method, request.url, reason[0] != '\0' ? reason : curl_easy_strerror(code), advice), !never_arrived(code));
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

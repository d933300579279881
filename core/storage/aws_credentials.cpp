#include "storage/aws_credentials.h"

#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "storage/http_client.h"

namespace rechost {
namespace {

constexpr auto kRenewedBefore = std::chrono::minutes(5);

std::string text_of(const Json& document, const char* key) {
  const auto found = document.find(key);
  return found != document.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

AwsCredentialSource::AwsCredentialSource(Variables variables, const std::atomic<bool>* cancel) : variables_(std::move(variables)), cancel_(cancel) {}

const AwsProfile& AwsCredentialSource::profile() {
  if (!profile_) profile_ = read_aws_profile(variables_);
  return *profile_;
}

std::optional<AwsCredentials> AwsCredentialSource::get() {
  const std::lock_guard lock(mutex_);
  const bool expiring = found_ && found_->expires && *found_->expires - kRenewedBefore < std::chrono::system_clock::now();
  if (looked_ && !expiring) return found_;
  std::optional<AwsCredentials> fresh = of_environment();
  if (!fresh) fresh = of_profile();
  if (!fresh) fresh = of_instance();
  // A metadata service that does not answer just now must not take away what holds for five minutes more.
  if (fresh || !expiring) found_ = std::move(fresh);
  looked_ = true;
  return found_;
}

bool AwsCredentialSource::renew(const AwsCredentials& used) {
  const std::lock_guard lock(mutex_);
  if (!used.expires) return false;
  if (found_ && found_->access_key == used.access_key) looked_ = false;
  return true;
}

std::string AwsCredentialSource::searched() {
  const std::lock_guard lock(mutex_);
  const AwsProfile& read = profile();
  return fmt::format("AWS_ACCESS_KEY_ID is not set; profile \"{}\" {} {} or {}; {}", read.name, read.found ? "has no keys in" : "is not in",
                     read.credentials_file.string(), read.config_file.string(), instance_problem_);
}

std::string AwsCredentialSource::region() {
  for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
    if (const auto value = variables_(name); value && !value->empty()) return *value;
  }
  const std::lock_guard lock(mutex_);
  return profile().value("region");
}

std::string AwsCredentialSource::endpoint() {
  std::string found;
  for (const char* name : {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"}) {
    if (found.empty()) found = variables_(name).value_or("");
  }
  if (found.empty() && variables_("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").value_or("") != "true") {
    const std::lock_guard lock(mutex_);
    found = profile().value("s3.endpoint_url");
    if (found.empty()) found = profile().value("endpoint_url");
  }
  while (found.ends_with('/')) found.pop_back();
  if (!found.empty() && !found.starts_with("http://") && !found.starts_with("https://")) {
    fail<ConfigError>("the address \"{}\" for S3 (AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or endpoint_url of the profile) must begin with http:// "
                      "or https://",
                      found);
  }
  return found;
}

std::optional<AwsCredentials> AwsCredentialSource::of_environment() {
  const std::string key = variables_("AWS_ACCESS_KEY_ID").value_or(""), secret = variables_("AWS_SECRET_ACCESS_KEY").value_or("");
  if (key.empty() != secret.empty()) {
    fail<ConfigError>("{} is set and {} is not: set both, or none", key.empty() ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID",
                      key.empty() ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY");
  }
  if (key.empty()) return std::nullopt;
  return AwsCredentials{key, secret, variables_("AWS_SESSION_TOKEN").value_or(""), std::nullopt, "the environment (AWS_ACCESS_KEY_ID)"};
}

std::optional<AwsCredentials> AwsCredentialSource::of_profile() {
  const AwsProfile& read = profile();
  const std::string key = read.value("aws_access_key_id"), secret = read.value("aws_secret_access_key");
  if (!key.empty() && !secret.empty()) {
    return AwsCredentials{key, secret, read.value("aws_session_token"), std::nullopt,
                          fmt::format("profile \"{}\" of {}", read.name, read.credentials_file.string())};
  }
  if (key.empty() != secret.empty()) {
    fail<ConfigError>("profile \"{}\" in {} has only one of aws_access_key_id and aws_secret_access_key", read.name, read.credentials_file.string());
  }
  for (const char* way : {"role_arn", "sso_session", "sso_start_url", "credential_process", "web_identity_token_file"}) {
    if (read.value(way).empty()) continue;
    fail<ConfigError>("profile \"{}\" in {} signs in by {}, which is not supported here: get keys by `aws configure export-credentials "
                      "--profile {} --format env` and set them in the environment",
                      read.name, read.config_file.string(), way, read.name);
  }
  return std::nullopt;
}

// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html
std::optional<AwsCredentials> AwsCredentialSource::of_instance() {
  if (variables_("AWS_EC2_METADATA_DISABLED").value_or("") == "true") {
    instance_problem_ = "instance credentials are switched off (AWS_EC2_METADATA_DISABLED)";
    return std::nullopt;
  }
  std::string address = variables_("AWS_EC2_METADATA_SERVICE_ENDPOINT").value_or("");
  if (address.empty()) address = "http://169.254.169.254";
  while (address.ends_with('/')) address.pop_back();
  try {
    // Elsewhere than on such an instance nobody answers at this address: that must not take long.
    HttpClient client({.timeout_seconds = 5.0, .connect_seconds = 1.0}, cancel_);
    const auto ask = [&](const char* method, const std::string& path, std::string header) {
      HttpRequest request{.method = method, .url = address + path};
      request.headers.push_back(std::move(header));
      HttpResponse response = client.send(request);
      if (response.status != 200) fail("{} {}{}: HTTP {}", method, address, path, response.status);
      return response.body;
    };
    const std::string token = "X-aws-ec2-metadata-token: " + ask("PUT", "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds: 21600");
    const std::string folder = "/latest/meta-data/iam/security-credentials/";
    std::string role = ask("GET", folder, token);
    role = role.substr(0, role.find_first_of("\r\n"));
    if (role.empty()) fail("the instance has no role");
    const Json document = parse_json(ask("GET", folder + percent_encoded(role), token), address + folder + role);
    AwsCredentials credentials{text_of(document, "AccessKeyId"), text_of(document, "SecretAccessKey"), text_of(document, "Token"), std::nullopt,
                               fmt::format("role \"{}\" of this instance ({})", role, address)};
    if (credentials.access_key.empty() || credentials.secret_key.empty()) fail("role {}: {}", role, text_of(document, "Code"));
    std::string expiration = text_of(document, "Expiration");
    if (expiration.size() == 20 && expiration.back() == 'Z') expiration.insert(19, ".000");
    credentials.expires = parse_utc(expiration);
    return credentials;
  } catch (const std::exception& error) {
    instance_problem_ = fmt::format("no instance metadata ({})", error.what());
    log_debug("{}", instance_problem_);
    return std::nullopt;
  }
}

}  // namespace rechost

#include "storage/aws_credentials.h"

#include <atomic>
#include <map>

#include <catch2/catch.hpp>

#include "base/error.h"
#include "core/base/temporary_directory.h"
#include "loopback_server.h"

using namespace rechost;
using Catch::Matchers::Contains;

namespace {

/// An environment of its own, with files of its own in $HOME/.aws.
class Account {
 public:
  Account& set(const std::string& name, const std::string& value) {
    variables_[name] = value;
    return *this;
  }
  Account& file(const std::string& name, const std::string& text) {
    std::filesystem::create_directories(home_ / ".aws");
    write_file_atomically(home_ / ".aws" / name, text);
    return *this;
  }
  Variables variables() {
    variables_.emplace("HOME", home_.path().string());
    variables_.emplace("AWS_EC2_METADATA_DISABLED", "true");
    return [this](const std::string& name) {
      const auto found = variables_.find(name);
      return found == variables_.end() ? std::nullopt : std::optional(found->second);
    };
  }
  AwsCredentialSource source() { return AwsCredentialSource(variables(), nullptr); }

 private:
  test::TemporaryDirectory home_;
  std::map<std::string, std::string> variables_;
};

}  // namespace

TEST_CASE("the environment goes before the profile, and half a pair is an error") {
  Account account;
  account.file("credentials", "[default]\naws_access_key_id = FILE\naws_secret_access_key = file-secret\n");
  const auto from_file = account.source().get();
  REQUIRE(from_file);
  CHECK(from_file->access_key == "FILE");
  CHECK_FALSE(from_file->expires);
  CHECK_THAT(from_file->source, Contains("profile \"default\""));
  account.set("AWS_ACCESS_KEY_ID", "KEY");
  CHECK_THROWS_WITH(account.source().get(), Contains("AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not"));
  account.set("AWS_SECRET_ACCESS_KEY", "secret").set("AWS_SESSION_TOKEN", "token");
  const auto from_environment = account.source().get();
  REQUIRE(from_environment);
  CHECK(from_environment->access_key == "KEY");
  CHECK(from_environment->session_token == "token");
  CHECK_FALSE(account.source().renew(*from_environment));
}

TEST_CASE("a profile is put together from both files") {
  Account account;
  account.set("AWS_PROFILE", "work");
  account.file("credentials", "# keys\n[work]\r\n aws_access_key_id=K\naws_secret_access_key = s=/+\n; end\n");
  account.file("config", "[default]\nregion = us-west-1\n[profile work]\nregion = eu-west-3\naws_access_key_id = OTHER\nservices = here\n"
                         "s3 =\n  endpoint_url = http://profile:1\n[services here]\ns3 =\n\tendpoint_url = http://services:2/\n");
  AwsCredentialSource source = account.source();
  REQUIRE(source.get());
  CHECK(source.get()->access_key == "K");
  CHECK(source.get()->secret_key == "s=/+");
  CHECK(source.region() == "eu-west-3");
  CHECK(source.endpoint() == "http://profile:1");
  account.set("AWS_REGION", "eu-north-1").set("AWS_ENDPOINT_URL", "https://store//").set("AWS_ENDPOINT_URL_S3", "https://objects/");
  CHECK(account.source().region() == "eu-north-1");
  CHECK(account.source().endpoint() == "https://objects");
  account.set("AWS_ENDPOINT_URL_S3", "objects:9000");
  CHECK_THROWS_WITH(account.source().endpoint(), Contains("must begin with http:// or https://"));
}

TEST_CASE("what is wrong with a profile is said without showing a secret") {
  Account account;
  account.file("config", "[default]\nrole_arn = arn\n");
  CHECK_THROWS_WITH(account.source().get(), Contains("signs in by role_arn") && Contains("export-credentials"));
  account.file("config", "[default\n");
  CHECK_THROWS_WITH(account.source().get(), Contains("config:1") && Contains("no closing ]"));
  account.file("config", "").file("credentials", "[default]\nmy-secret\n");
  CHECK_THROWS_WITH(account.source().get(), Contains("credentials:2: expected [profile] or key = value") && !Contains("my-secret"));
  account.file("credentials", "[default]\naws_access_key_id = K\n");
  CHECK_THROWS_WITH(account.source().get(), Contains("has only one of aws_access_key_id and aws_secret_access_key"));
  account.set("AWS_PROFILE", "absent");
  CHECK_THROWS_WITH(account.source().get(), Contains("AWS_PROFILE = absent: neither"));
}

TEST_CASE("without credentials it is told where they were looked for") {
  Account account;
  AwsCredentialSource source = account.source();
  CHECK_FALSE(source.get());
  CHECK_THAT(source.searched(), Contains("AWS_ACCESS_KEY_ID is not set") && Contains("profile \"default\" is not in") && Contains("switched off"));
}

TEST_CASE("keys of an instance are asked for with a token, kept, and asked for again before they end") {
  const std::string folder = "/latest/meta-data/iam/security-credentials/";
  const auto keys = [](const std::string& key, const std::string& until) {
    return "{\"Code\":\"Success\",\"AccessKeyId\":\"" + key + "\",\"SecretAccessKey\":\"s\",\"Token\":\"t\",\"Expiration\":\"" + until + "\"}";
  };
  test::LoopbackServer server(test::LoopbackServer::Files{{"/latest/api/token", "a-token"}, {folder, "my role\n"}, {folder + "my%20role", keys("FIRST", "2020-01-01T00:00:00Z")}});
  Account account;
  account.set("AWS_EC2_METADATA_DISABLED", "").set("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.address());
  AwsCredentialSource source = account.source();
  const auto first = source.get();
  REQUIRE(first);
  CHECK(first->access_key == "FIRST");
  CHECK(first->session_token == "t");
  REQUIRE(server.requests().size() == 3);
  CHECK(server.requests()[0].method == "PUT");
  CHECK(server.requests()[2].header("X-aws-ec2-metadata-token") == "a-token");
  server.change(folder + "my%20role", keys("SECOND", "2126-01-01T00:00:00Z"));
  const auto second = source.get();  // the first ones are over
  REQUIRE(second);
  CHECK(second->access_key == "SECOND");
  const std::size_t asked = server.requests().size();
  CHECK(source.get()->access_key == "SECOND");
  CHECK(server.requests().size() == asked);
  CHECK(source.renew(*second));  // the server says that they are over before their time
  CHECK(source.get()->access_key == "SECOND");
  CHECK(server.requests().size() == asked + 3);
}
